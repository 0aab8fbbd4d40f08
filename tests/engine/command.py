"""What tests of ``cvd generate`` share."""

from __future__ import annotations

import argparse

from cvd_core.cli.generate import add_parser, request
from cvd_core.runs.plan import Plan, plan_run
from cvd_core.runs.request import Request


def request_of(*words: object) -> Request:
    """What these options of ``cvd generate`` ask for."""
    parser = argparse.ArgumentParser()
    add_parser(parser.add_subparsers())
    return request(parser.parse_args(["generate", "--out", "unused", *map(str, words)]))


def plan_of(*words: object) -> Plan:
    """What a run of ``cvd generate`` with these options would start from."""
    return plan_run(request_of(*words))
