"""Which plugins are installed, and the observers that a run tells about its progress.

Lists plugins from metadata alone and imports one only when it is used; knows contracts, never a particular
plugin.
"""
