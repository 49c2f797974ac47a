"""Run models: one forward pass, one training step, a timed pass, or a derivation. The model's state is restored.

``count_target("resnet18")`` goes from a name to a profile. The command line, the verification of documents, budgets
and the pytest fixture run their models through this package.
"""
