"""Feast plugins for any Feast project: they import nothing else of this one."""
