"""Run models: a forward pass, a training step, a timed pass or a derivation, with the model's state preserved.

``count_target("resnet18")`` goes all the way from a name to a profile. Commands, document verification, budgets and
the pytest fixture all run their models through this package.
"""
