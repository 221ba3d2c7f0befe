"""The store on MySQL 8 or MariaDB 10.6 and newer, in the tables of the web app beside chatd.

Needs PyMySQL (the extra `mysql`). Why it is as it is: docs/decisions/0009-mysql.md.
"""
