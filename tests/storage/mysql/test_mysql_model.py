"""The random walk of `support.walk`, on MySQL, with a look at what the app beside it reads."""

from hypothesis import settings

from support.mysql_walk import MysqlStores

MysqlStores.TestCase.settings = settings(max_examples=12, stateful_step_count=15, deadline=None, print_blob=True)
TestMysqlStores = MysqlStores.TestCase
