"""One file for each part: a function ``run(*, quick, seed)`` that returns an ``Outcome``. Its name is the part's."""
