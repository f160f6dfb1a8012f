"""`tickwork.toml`: what a project is made of, checked before anything of it is used."""
