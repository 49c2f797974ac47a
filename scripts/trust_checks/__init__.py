"""Try to break the package on purpose: ``scripts/trust``. Each file in ``parts/`` is one part."""
