"""How distributions are drawn as maps of standard normals."""
