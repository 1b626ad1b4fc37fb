"""One file per question a person has; each has `render(desk)`."""
