"""The page's modules as one script."""

from graphlib import CycleError

import pytest

from logriver.api.page_script import joined


def test_each_module_stands_once_behind_those_it_imports() -> None:
    modules = {
        "app.js": 'import { one, two as second } from "./models/a.js";\nimport * as b from "./models/b.js";\none();\n',
        "models/a.js": 'import three from "../c.js";\nexport const one = three;\nexport async function two() {}\n',
        "models/b.js": 'export {\n  one,\n} from "./a.js";\nexport class B {}\n',
        "c.js": "/*\nexport function old() {}\n*/\nvar x=1;export{x as default};\n",
        "other.js": "never asked for",
    }
    text = joined(modules, "app.js")
    places = [text.index(f"// {name}\n") for name in ("c.js", "models/a.js", "models/b.js", "app.js")]
    assert places == sorted(places)
    assert [text.count(f"// {name}\n") for name in modules] == [1, 1, 1, 1, 0]
    assert 'const { one:one, two:second } = modules["models/a.js"];' in text
    assert 'const b = modules["models/b.js"];' in text
    assert 'const { default: three } = modules["c.js"];' in text
    assert "return { one, two };" in text
    assert 'return { one: modules["models/a.js"].one, B };' in text
    assert "return { default: x };" in text


@pytest.mark.parametrize(
    "line", ['import "./b.js";', "export default 1;", "export let a = 1;", "export * from './b.js';"]
)
def test_a_form_that_is_not_known_is_an_error(line: str) -> None:
    with pytest.raises(ValueError, match=r"a\.js"):
        joined({"a.js": line, "b.js": ""}, "a.js")


def test_a_circle_is_an_error() -> None:
    circle = {
        "a.js": 'import { b } from "./b.js";\nexport const a = 1;',
        "b.js": 'import { a } from "./a.js";\nexport const b = 1;',
    }
    with pytest.raises(CycleError):
        joined(circle, "a.js")
