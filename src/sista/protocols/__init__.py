"""Published evaluation protocols by name: their splits as deterministic id lists, what is wrong with them, and what was published.

`protocol_named("mgca-rsna-reported")` describes one, `assign(name, table)` gives its train, valid and test ids with checksums,
`label_shares` the nested 1, 10 and 100 % of its training patients. The verb is `sista protocol`.
"""

from sista.protocols.assign import assign, coded_shares, label_shares
from sista.protocols.explain import describe, protocol
from sista.protocols.protocol import STATUS, Protocol, Score, Sizes, Task
from sista.protocols.registry import PROTOCOLS, protocol_named
from sista.protocols.release import DataSet, Release, Table
from sista.protocols.split_list import SplitList, list_checksum

__all__ = [
    "PROTOCOLS",
    "STATUS",
    "DataSet",
    "Protocol",
    "Release",
    "Score",
    "Sizes",
    "SplitList",
    "Table",
    "Task",
    "assign",
    "coded_shares",
    "describe",
    "label_shares",
    "list_checksum",
    "protocol",
    "protocol_named",
]
