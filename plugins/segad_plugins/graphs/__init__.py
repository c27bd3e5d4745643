"""What built-in plugins compute, as networks that are exported; none of it is part of a key in the store."""
