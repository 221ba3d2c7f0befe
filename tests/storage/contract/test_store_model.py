"""Random batches on two stores at once, beside a model of the contract that is as naive as can be."""

from hypothesis import settings

from support.walk import Stores

Stores.TestCase.settings = settings(max_examples=60, stateful_step_count=20, deadline=None, print_blob=True)
TestStores = Stores.TestCase
