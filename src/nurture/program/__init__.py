"""From files to a program: models of the marketer's files, loading, checking, publishing."""
