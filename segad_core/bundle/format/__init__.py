"""The files of a bundle: names, digests, manifest, tables, reading and writing.

Parses nothing before its digest is verified. Imports no plugin and builds none.
"""
