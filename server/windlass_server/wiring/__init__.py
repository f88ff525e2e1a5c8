"""How a server is put together, a stage in each file; `App.build` takes them in order."""
