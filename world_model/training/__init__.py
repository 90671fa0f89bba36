"""Training of the world model: pixels to slots once, reasoners on cached slots, then both through pixels."""
