"""Other programs' plugins that bring clay4d into them; each needs that program, in a place of its own."""
