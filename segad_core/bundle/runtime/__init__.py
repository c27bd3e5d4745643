"""A bundle at work: plugins restored, images scored, verdicts, self-test and teaching.

Reads its files through `bundle.format` alone.
"""
