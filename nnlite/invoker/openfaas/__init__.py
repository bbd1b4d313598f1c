"""OpenFaaS: workers as functions behind a gateway, called over HTTP and signed."""
