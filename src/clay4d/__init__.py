"""4D scenes from video on any computer: no GPU needed, repeatable to the bit."""
