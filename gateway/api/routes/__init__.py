"""The routes of the REST API, a module for each noun; `gateway.api.app` lists them."""
