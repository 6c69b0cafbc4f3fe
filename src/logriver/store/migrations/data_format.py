"""The migrations in their order, and the number of the data format: how many there are."""

from logriver.store.migrations import m0001_first, m0002_positions_and_damage
from logriver.store.migrations.migration import Migration

MIGRATIONS: tuple[Migration, ...] = (m0001_first.MIGRATION, m0002_positions_and_damage.MIGRATION)
FORMAT = len(MIGRATIONS)
