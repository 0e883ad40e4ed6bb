"""Read LMDB's file format: a B+ tree of (key, value) pairs, every offset checked before use."""

from __future__ import annotations

import bisect
import os
import struct
import threading
import weakref
from array import array
from collections import deque
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import numpy as np

from minidl.errors import DataError

MAGIC, VERSION = 0xBEEFC0DE, 1
NO_PAGE = 2**64 - 1
BRANCH, LEAF, OVERFLOW, META = 0x01, 0x02, 0x04, 0x08
KINDS = BRANCH | LEAF | OVERFLOW | META | 0x60  # 0x60: forms that only duplicate keys need
BIG_VALUE = 0x01
HEADER = struct.Struct("<QHHHH")  # page number, padding, kind, end of the offsets, start of nodes
META_FIELDS = struct.Struct("<II16x I44x IHHQQQQQ QQ")
NODE = struct.Struct("<HHHH")  # low and high half of the value's length, flags, length of the key
# Of the header, for many pages at once.
HEADERS: Any = {
    "names": ["page", "kind", "end"],
    "formats": ["<u8", "<u2", "<u2"],
    "offsets": [0, 10, 12],
}
FAR, AT_ONCE = 64, 256  # records, and pages
LARGEST = 1 << 30  # bytes of a record
DEEPEST = 32  # liblmdb's own limit


class Leaf(NamedTuple):
    """A page of records: their first number, the page and where in it each record starts."""

    start: int
    page: bytes
    offsets: tuple[int, ...]


class BTree:
    """The records of an LMDB file (data.mdb), by number, in the order of their keys.

        tree[7] -> (key, value), two bytes objects

    A file is pages of 4 KiB or so. Pages 0 and 1 are the two latest versions of the root; the
    newer one counts. Branch pages hold page numbers, leaf pages hold keys and values, and a value
    that is longer than half a page is in overflow pages of its own. Going forward costs one read
    a leaf; jumping ahead reads the headers of the leaves in between, once.

    Why not liblmdb: it maps the file and trusts it, so a cut file ends the process with SIGBUS and
    a damaged one with SIGSEGV, neither of which Python can catch. Here a short read is an error
    like any other, memory is bounded by one leaf, one value, and 16 bytes a leaf seen.

    path    the file, written by a 64-bit little-endian LMDB 0.9; nothing is ever written or locked

    Any number of threads may read. Errors: DataError for anything wrong with the file.

    Source: the format is liblmdb's, mdb.c ("Page types", "Meta page").
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._leaf: Leaf | None = None
        try:
            self._file = open(path, "rb", buffering=0)
        except OSError as error:
            raise DataError(f"cannot be opened: {error.strerror}", where=str(path)) from error
        self._closer = weakref.finalize(self, self._file.close)
        try:
            self._read_root()
        except BaseException:
            self.close()
            raise
        self._walk_again()

    def __len__(self) -> int:
        return self._entries

    def __getitem__(self, number: int) -> tuple[bytes, bytes]:
        if not 0 <= number < self._entries:
            raise IndexError(number)
        with self._lock:
            leaf = self._leaf
            if leaf is None or not 0 <= number - leaf.start < len(leaf.offsets):
                leaf = self._leaf = self._find(number)
            return self._record(leaf, number)

    def close(self) -> None:
        self._closer()

    # ------------------------------------------------------------------ the root

    def _read_root(self) -> None:
        size = os.fstat(self._file.fileno()).st_size
        head = self._file.read(HEADER.size + META_FIELDS.size) or b""
        if len(head) < HEADER.size + META_FIELDS.size:
            self._refuse(f"is not an LMDB file: it has {size} bytes")
        first = self._read_meta(head)
        self._page_size = first[2]
        if not (256 <= self._page_size <= 65536 and self._page_size & (self._page_size - 1) == 0):
            self._damaged(f"its page size is {self._page_size}")
        if size < 2 * self._page_size:
            self._refuse(f"was cut short: it has {size} bytes, less than its two first pages")
        second = self._read_meta(self._read(self._page_size, len(head)))
        meta = max(first, second, key=lambda fields: fields[-1])  # the later transaction
        _, _, _, _, flags, self._depth, _, self._leaf_pages, _, entries, root, last, _ = meta
        self._entries, self._root, self._last = entries, root, last
        if flags:
            self._refuse(
                f"holds a store of another kind (flags {flags:#x})",
                expected="one value for each key, as Caffe writes it",
            )
        if size < (last + 1) * self._page_size:
            self._refuse(
                f"was cut short: it has {size} bytes",
                expected=f"at least {(last + 1) * self._page_size} ({last + 1} pages)",
                fix="make the data set again, or copy it again from its origin",
            )
        # A record takes 8 bytes and more of a leaf: a larger number is damage, not data.
        if entries > size // NODE.size or (root == NO_PAGE) != (entries == 0):
            self._damaged(f"it claims {entries} records")

    def _read_meta(self, page: bytes) -> tuple[int, ...]:
        fields = META_FIELDS.unpack_from(page, HEADER.size)
        kind = HEADER.unpack_from(page)[2]
        if fields[0] != MAGIC:
            if struct.unpack_from("<I", page, 12)[0] == MAGIC:
                self._refuse("was written by a 32-bit LMDB", expected="a file of a 64-bit LMDB")
            if struct.unpack_from(">I", page, HEADER.size)[0] == MAGIC:
                self._refuse("is big-endian", expected="a file of a little-endian machine")
            self._refuse(f"is not an LMDB file: it has {fields[0]:#010x} where {MAGIC:#x} belongs")
        if fields[1] != VERSION:
            self._refuse(
                f"has version {fields[1]} of LMDB's format",
                expected=f"version {VERSION} (LMDB 0.9)",
            )
        if not kind & META:
            self._damaged("one of its first two pages is not a root")
        return fields

    # ------------------------------------------------------------------ the tree

    def _walk_again(self) -> None:
        # Where the walk is, from the root down: pages that are still to be visited.
        self._path = [deque([self._root])]
        self._found = 0  # records in the leaves found so far
        self._starts = array("Q")  # first record number of each of those
        self._pages = array("Q")  # and its page number

    def _find(self, number: int) -> Leaf:
        while number >= self._found:
            try:
                self._pass_leaves(number)
                page = self._next_leaf(ahead=number > self._found)
            except BaseException:
                self._walk_again()
                raise
            if page is None:
                self._damaged(f"it claims {self._entries} records and holds {self._found}")
            if number < self._found and len(page) == self._page_size:
                return self._parse_leaf(self._starts[-1], page)
        index = bisect.bisect_right(self._starts, number) - 1
        return self._parse_leaf(self._starts[index], self._page(self._pages[index], LEAF)[0])

    def _next_leaf(self, ahead: bool) -> bytes | None:
        """Go to the next leaf from left to right, noting it in `_starts` and `_pages`; return its
        page or, if it is only passed on the way ahead, perhaps no more than the page's header."""
        path = self._path
        while path:
            if not path[-1]:
                path.pop()
                continue
            number = path[-1].popleft()
            # Leaves are all at the depth of the tree; what is not one there is read as a whole.
            size = HEADER.size if ahead and len(path) == self._depth else self._page_size
            page, kind = self._page(number, BRANCH | LEAF, size)
            if kind == BRANCH:
                if len(path) >= min(self._depth, DEEPEST):
                    self._damaged(f"page {number} is deeper than the tree's {self._depth} levels")
                path.append(deque(self._children(number, page)))
                continue
            self._note([number], [self._count(number, page)])
            return page
        return None

    def _pass_leaves(self, number: int) -> None:
        """Pass the next leaves that end before record `number`, if their pages follow one another:
        these are read at once, for their headers. What is wrong with one is left to `_next_leaf`.
        """
        waiting = self._path[-1]
        if number - self._found < FAR or len(self._path) != self._depth or len(waiting) < 2:
            return
        pages = np.array(waiting, np.uint64)[:AT_ONCE]
        run = int(
            np.argmin(np.append(pages == pages[0] + np.arange(len(pages), dtype=np.uint64), False))
        )
        if not 2 <= pages[0] <= self._last + 1 - run:
            return
        data = self._read(int(pages[0]) * self._page_size, run * self._page_size)
        form: Any = {**HEADERS, "itemsize": self._page_size}
        heads: Any = np.frombuffer(data, np.dtype(form))
        counts, odd = np.divmod(heads["end"].astype(np.int64) - HEADER.size, 2)
        good = (heads["page"] == pages[:run]) & (heads["kind"] & KINDS == LEAF)
        good &= (counts > 0) & (odd == 0) & (heads["end"] <= self._page_size)
        good &= self._found + np.cumsum(counts) <= number
        passed = int(np.argmin(np.append(good, False)))
        for _ in range(passed):
            waiting.popleft()
        self._note(pages[:passed].tolist(), counts[:passed].tolist())

    def _note(self, pages: list[int], counts: list[int]) -> None:
        """Note the next leaves: their pages, and how many records each has."""
        self._pages.extend(pages)
        for count in counts:
            self._starts.append(self._found)
            self._found += count
        if self._found > self._entries or len(self._starts) > self._leaf_pages:
            self._damaged(f"it claims {self._entries} records and holds more")

    def _children(self, number: int, page: bytes) -> list[int]:
        children = []
        for offset in self._offsets(number, page):
            low, high, top, _ = NODE.unpack_from(page, offset)
            children.append(low | high << 16 | top << 32)
        return children

    def _parse_leaf(self, start: int, page: bytes) -> Leaf:
        return Leaf(start, page, self._offsets(HEADER.unpack_from(page)[0], page))

    def _offsets(self, number: int, page: bytes) -> tuple[int, ...]:
        """Return where the nodes of a branch or leaf page start."""
        count = self._count(number, page)
        offsets = struct.unpack_from(f"<{count}H", page, HEADER.size)
        if min(offsets) < HEADER.size + 2 * count or max(offsets) > len(page) - NODE.size:
            self._damaged(f"an entry of page {number} is outside of it")
        return offsets

    def _count(self, number: int, page: bytes) -> int:
        """Return how many entries a branch or leaf page has, by its header."""
        end = HEADER.unpack_from(page)[3]
        count, odd = divmod(end - HEADER.size, 2)
        if count < 1 or odd or end > self._page_size:
            self._damaged(f"page {number} claims {count} entries")
        return count

    def _record(self, leaf: Leaf, number: int) -> tuple[bytes, bytes]:
        page, offset = leaf.page, leaf.offsets[number - leaf.start]
        low, high, flags, key_size = NODE.unpack_from(page, offset)
        size, offset = low | high << 16, offset + NODE.size
        key, offset = page[offset : offset + key_size], offset + key_size
        stored = 8 if flags == BIG_VALUE else size
        if offset + stored > len(page):
            self._damaged(f"record {number} extends beyond the end of its page")
        if flags == BIG_VALUE:
            return key, self._big_value(struct.unpack_from("<Q", page, offset)[0], size, number)
        if flags:
            self._damaged(f"record {number} is not a plain value (flags {flags:#x})")
        return key, page[offset : offset + size]

    def _big_value(self, first: int, size: int, number: int) -> bytes:
        """Return the value of a record in overflow pages, the first of which has a header."""
        pages = -(-(HEADER.size + size) // self._page_size)
        if size > LARGEST:
            self._damaged(f"record {number} claims {size:,} bytes")
        if first + pages - 1 > self._last:
            self._damaged(f"record {number} extends beyond the end of the file")
        run = self._read(first * self._page_size, HEADER.size + size)
        page, _, kind, low, high = HEADER.unpack_from(run)
        # More pages than needed: the value replaced a longer one.
        if page != first or kind & KINDS != OVERFLOW or low | high << 16 < pages:
            self._damaged(f"record {number} points to page {first}, which is not its value's")
        return run[HEADER.size :]

    # ------------------------------------------------------------------ the file

    def _page(self, number: int, kinds: int, size: int = 0) -> tuple[bytes, int]:
        """Return the first `size` bytes of a page, else all, and its kind, one of `kinds`."""
        if not 2 <= number <= self._last:
            self._damaged(f"it points to page {number} of {self._last + 1}")
        page = self._read(number * self._page_size, size or self._page_size)
        name, _, kind, _, _ = HEADER.unpack_from(page)
        kind &= KINDS
        if name != number or kind not in (BRANCH, LEAF) or not kind & kinds:
            self._damaged(f"page {number} calls itself page {name}, kind {kind:#x}")
        return page, kind

    def _read(self, offset: int, size: int) -> bytes:
        try:
            self._file.seek(offset)
            data = self._file.read(size) or b""
            while 0 < len(data) < size:  # the system reads at most 2 GiB at once
                more = self._file.read(size - len(data))
                if not more:
                    break
                data += more
        except (OSError, ValueError) as error:  # ValueError: closed meanwhile
            raise DataError(f"cannot be read: {error}", where=str(self.path)) from error
        if len(data) < size:
            self._refuse(f"was cut short: there is nothing at byte {offset + len(data)}")
        return data

    def _damaged(self, what: str) -> NoReturn:
        self._refuse(
            f"is damaged: {what}", fix="make the data set again, or copy it again from its origin"
        )

    def _refuse(self, found: str, expected: str = "", fix: str = "") -> NoReturn:
        raise DataError(found, where=str(self.path), expected=expected, fix=fix)
