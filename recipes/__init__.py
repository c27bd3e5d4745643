"""The recipes that segad ships, as package data: `segad run elpv` finds them with no checkout."""
