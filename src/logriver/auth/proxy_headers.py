"""The headers by which proxies, load balancers and content delivery networks can be recognised.

One of them is enough: a client of its own accord sends none, so whoever has them came from somewhere else. They say
only that there is a proxy; no address in them is ever believed.
"""

import re

# The standard's (RFC 7239, RFC 9110, RFC 8586), then by product or service. Names are lower case.
_NAMES = (
    *("forwarded", "via", "cdn-loop", "x-via"),
    *("x-real-ip", "x-real-port", "x-scheme", "x-url-scheme"),  # nginx, ingress-nginx
    *("x-client-ip", "client-ip", "x-remote-ip", "x-remote-addr", "x-originating-ip", "x-coming-from"),
    *("true-client-ip", "x-true-client-ip", "x-host", "x-cdn"),  # Akamai, Cloudflare, Imperva
    *("x-cluster-client-ip", "wl-proxy-client-ip"),  # Rackspace, Zeus and Riverbed; WebLogic
    *("front-end-https", "x-arr-log-id", "x-arr-ssl"),  # Microsoft: ISA, IIS
    *("x-varnish", "x-bluecoat-via"),
    *("x-nf-client-connection-ip", "do-connecting-ip", "incap-client-ip"),  # Netlify, DigitalOcean, Incapsula
    *("x-sucuri-clientip", "x-proxyuser-ip", "x-request-start"),  # Sucuri, Google, Heroku's router
    *("x-amz-cf-id", "x-amzn-apigateway-api-id"),  # CloudFront, API Gateway
)
_PREFIXES = (
    *("x-forwarded", "forwarded-", "x-original-", "x-proxy-", "proxy-"),
    *("x-envoy-", "x-ssl-", "x-appengine-", "x-goog-authenticated-", "x-goog-iap-"),
    *("cf-", "cdn-", "ali-cdn-", "akamai-", "x-akamai-", "cloudfront-", "fastly-", "fly-", "x-azure-", "x-vercel-"),
    *("tailscale-", "x-railway-"),
)
_NAME = re.compile(rf"(?:{'|'.join(_NAMES)})\Z|(?:{'|'.join(_PREFIXES)})".encode())


def is_proxy_header(name: bytes) -> bool:
    """Whether a proxy sends a header of that name, which is lower case."""
    return _NAME.match(name) is not None
