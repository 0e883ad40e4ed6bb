"""BTree: what it reads is what liblmdb wrote; what is damaged is refused, never followed."""

import contextlib
import gc
import os
import struct
import threading

import lmdb
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from minidl.data.sources.btree import BTree
from minidl.errors import DataError
from tests.data.support import write_lmdb

PAGE = 4096


def numbered(sizes, seed=0):
    rng = np.random.default_rng(seed)
    return [(b"%08d" % i, rng.bytes(size)) for i, size in enumerate(sizes)]


STORES = {
    "one record": [3],
    "an empty value": [0, 5, 0],
    "several in a page": [200] * 40,
    "two levels": [790] * 300,
    "three levels": [10] * 30000,
    "values of their own pages": [6000, 100000, 4081, 4080, 4079, 1, 2, 20000],
    "around half a page": list(range(1990, 2060)),
}


@pytest.fixture(params=STORES.values(), ids=STORES.keys())
def store(request, tmp_path):
    records = numbered(request.param)
    return write_lmdb(tmp_path / "db", records) / "data.mdb", records


def test_records_come_back_forwards(store):
    path, records = store
    tree = BTree(path)
    assert len(tree) == len(records)
    assert [tree[i] for i in range(len(tree))] == records


def test_records_come_back_in_any_order(store):
    path, records = store
    tree = BTree(path)
    order = np.random.default_rng(1).permutation(len(records))[:500]
    assert [tree[int(i)] for i in order] == [records[i] for i in order]


def test_a_number_outside_is_an_index_error(store):
    path, records = store
    tree = BTree(path)
    for number in (-1, len(records)):
        with pytest.raises(IndexError):
            tree[number]


def test_an_empty_store_has_length_zero(tmp_path):
    assert len(BTree(write_lmdb(tmp_path / "db", []) / "data.mdb")) == 0


def test_a_store_that_was_changed_again_and_again_reads_as_liblmdb_reads_it(tmp_path):
    rng = np.random.default_rng(3)
    folder = tmp_path / "db"
    for round_ in range(6):
        keys = [b"%08d" % k for k in rng.integers(0, 900, 300)]
        write_lmdb(folder, [(k, rng.bytes(int(rng.integers(0, 5000)))) for k in keys])
        with lmdb.open(str(folder), map_size=1 << 26, lock=False) as env:
            with env.begin(write=True) as transaction:
                for k in rng.integers(0, 900, 100):
                    transaction.delete(b"%08d" % k)
            with env.begin() as transaction:
                expected = list(transaction.cursor())
        tree = BTree(folder / "data.mdb")
        assert [tree[i] for i in range(len(tree))] == expected, f"round {round_}"


def file_of_16_kib_pages(records):
    """An LMDB as machines with larger pages write it: two roots, one leaf, put together by hand."""
    size, count = 16384, len(records)
    leaf, offset, offsets = bytearray(size), size, []
    for key, value in records:
        node = struct.pack("<HHHH", len(value), 0, 0, len(key)) + key + value
        offset -= len(node) + len(node) % 2
        leaf[offset : offset + len(node)] = node
        offsets.append(offset)
    struct.pack_into("<QHHHH", leaf, 0, 2, 0, 0x02, 16 + 2 * count, offset)
    struct.pack_into(f"<{count}H", leaf, 16, *offsets)

    def root(number, transaction, entries, page):
        meta = struct.pack("<QHHHH", number, 0, 0x08, 0, 0)
        meta += struct.pack("<IIQQ", 0xBEEFC0DE, 1, 0, 1 << 20)
        meta += struct.pack("<IHHQQQQQ", size, 0, 0, 0, 0, 0, 0, 2**64 - 1)
        meta += struct.pack("<IHHQQQQQ", 0, 0, min(entries, 1), 0, 1, 0, entries, page)
        return (meta + struct.pack("<QQ", 2, transaction)).ljust(size, b"\0")

    return root(0, 0, 0, 2**64 - 1) + root(1, 1, count, 2) + bytes(leaf)


def test_pages_of_16_kib_are_read(tmp_path):
    records = numbered([100, 5000, 3])
    path = tmp_path / "data.mdb"
    path.write_bytes(file_of_16_kib_pages(records))
    tree = BTree(path)
    assert [tree[i] for i in range(3)] == records


def test_a_value_that_reaches_over_the_end_of_its_page_is_refused(tmp_path):
    data = bytearray(file_of_16_kib_pages(numbered([100, 60])))
    (last,) = struct.unpack_from("<H", data, 2 * 16384 + 16)  # record 0 lies at the page's end
    struct.pack_into("<H", data, 2 * 16384 + last, 101)
    path = tmp_path / "data.mdb"
    path.write_bytes(data)
    tree = BTree(path)
    assert len(tree[1][1]) == 60
    with pytest.raises(DataError, match="record 0 extends beyond the end of its page"):
        tree[0]


# ---------------------------------------------------------------------- damage


def read_all(path):
    tree = BTree(path)
    try:
        return [tree[i] for i in range(len(tree))]
    finally:
        tree.close()


SMALL = numbered([200, 5000, 30, 2000] * 20)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The bytes of a store with a branch, leaves and overflow pages."""
    folder = write_lmdb(tmp_path_factory.mktemp("btree") / "db", SMALL)
    return (folder / "data.mdb").read_bytes()


def test_a_file_cut_anywhere_is_refused_before_its_records_are_read(whole, tmp_path):
    path = tmp_path / "data.mdb"
    for size in [0, 1, 151, 152, PAGE, 2 * PAGE, *range(3 * PAGE, len(whole), 7 * PAGE + 13)]:
        path.write_bytes(whole[:size])
        with pytest.raises(DataError, match=f"data.mdb: .*{size} bytes"):
            BTree(path)


def test_a_file_that_is_cut_while_open_is_refused(whole, tmp_path):
    path = tmp_path / "data.mdb"
    path.write_bytes(whole)
    tree = BTree(path)
    os.truncate(path, 3 * PAGE)
    with pytest.raises(DataError, match="was cut short"):
        for i in range(len(tree)):
            tree[i]


def test_after_an_error_reading_goes_on_where_the_file_is_whole_again(whole, tmp_path):
    path = tmp_path / "data.mdb"
    path.write_bytes(whole)
    tree = BTree(path)
    os.truncate(path, 2 * PAGE)
    with pytest.raises(DataError):
        tree[50]
    with open(path, "r+b") as file:
        file.write(whole)
    assert tree[50] == SMALL[50] and tree[3] == SMALL[3]


def patched(whole, offset, form, *values):
    data = bytearray(whole)
    struct.pack_into(form, data, offset, *values)
    return bytes(data)


def both_roots(whole, offset, form, *values):
    return patched(patched(whole, offset, form, *values), PAGE + offset, form, *values)


FOREIGN = {
    "text": (lambda w: b"layer { }\n" * 100, "is not an LMDB file"),
    "zeros": (lambda w: bytes(len(w)), "is not an LMDB file"),
    "big-endian": (lambda w: patched(w, 16, ">I", 0xBEEFC0DE), "is big-endian"),
    "32 bits": (lambda w: patched(w, 12, "<II", 0xBEEFC0DE, 1), "32-bit LMDB"),
    "a later format": (lambda w: both_roots(w, 20, "<I", 2), "version 2 of LMDB's format"),
    "an odd page size": (lambda w: patched(w, 40, "<I", 5000), "page size is 5000"),
    "the second root gone": (lambda w: patched(w, PAGE + 16, "<I", 7), "is not an LMDB file"),
    "records beyond number": (lambda w: both_roots(w, 120, "<Q", 1 << 60), "claims 115292"),
    "a few records more": (lambda w: both_roots(w, 120, "<Q", 81), "claims 81 records and holds"),
    "a few records less": (lambda w: both_roots(w, 120, "<Q", 79), "claims 79 records and hold"),
    "no root page": (lambda w: both_roots(w, 128, "<Q", 2**64 - 1), "claims 80 records"),
    "a root beyond the end": (lambda w: both_roots(w, 128, "<Q", 1 << 40), "points to page 1099"),
    "several values a key": (lambda w: both_roots(w, 92, "<H", 4), "store of another kind"),
    "a root among the roots": (lambda w: both_roots(w, 128, "<Q", 1), "points to page 1 of"),
}


@pytest.mark.parametrize("change, message", FOREIGN.values(), ids=FOREIGN.keys())
def test_what_is_not_a_sound_lmdb_is_refused_in_words(whole, tmp_path, change, message):
    path = tmp_path / "data.mdb"
    path.write_bytes(change(whole))
    with pytest.raises(DataError, match=message):
        read_all(path)


def root_page(whole):
    newer = max((0, PAGE), key=lambda page: struct.unpack_from("<Q", whole, page + 144)[0])
    return struct.unpack_from("<Q", whole, newer + 128)[0]


def test_a_branch_that_leads_back_to_itself_ends(whole, tmp_path):
    root = root_page(whole)
    (first,) = struct.unpack_from("<H", whole, root * PAGE + 16)
    path = tmp_path / "data.mdb"
    path.write_bytes(patched(whole, root * PAGE + first, "<HHH", root, 0, 0))
    with pytest.raises(DataError, match=f"page {root} is deeper than the tree's 2 levels"):
        read_all(path)


def test_a_branch_that_leads_to_one_leaf_twice_ends(whole, tmp_path):
    root = root_page(whole) * PAGE
    first, second = struct.unpack_from("<HH", whole, root + 16)
    child = struct.unpack_from("<HHH", whole, root + first)
    path = tmp_path / "data.mdb"
    path.write_bytes(patched(whole, root + second, "<HHH", *child))
    with contextlib.suppress(DataError):  # as many records in both leaves: it cannot be told
        assert len(read_all(path)) == len(SMALL)


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    changes=st.lists(
        st.tuples(st.integers(0, 10**6), st.integers(0, 60), st.integers(0, 255)), min_size=1
    ),
    cut=st.one_of(st.none(), st.integers(0, 10**6)),
)
def test_no_damage_gives_anything_but_a_data_error(whole, tmp_path, changes, cut):
    data = bytearray(whole)
    for page, offset, value in changes:  # near the starts of pages, where the structure is
        data[(page % (len(data) // PAGE)) * PAGE + offset] = value
    path = tmp_path / "data.mdb"
    path.write_bytes(data[: len(data) if cut is None else cut % len(data)])
    with contextlib.suppress(DataError):
        for key, value in read_all(path):
            assert len(key) + len(value) <= len(whole)


@settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.binary(max_size=10000))
def test_arbitrary_bytes_give_a_data_error(tmp_path, data):
    path = tmp_path / "data.mdb"
    path.write_bytes(data)
    with pytest.raises(DataError):
        read_all(path)


# ---------------------------------------------------------------------- other stores of LMDB


def test_a_store_within_the_store_is_not_a_record(tmp_path):
    with lmdb.open(str(tmp_path), map_size=1 << 20, lock=False, max_dbs=2) as env:
        inner = env.open_db(b"inner")
        with env.begin(write=True, db=inner) as transaction:
            transaction.put(b"a", b"1")
    with pytest.raises(DataError, match="record 0 is not a plain value"):
        read_all(tmp_path / "data.mdb")


# ---------------------------------------------------------------------- files and threads


def test_reading_after_close_is_refused(whole, tmp_path):
    path = tmp_path / "data.mdb"
    path.write_bytes(whole)
    tree = BTree(path)
    tree.close()
    tree.close()
    with pytest.raises(DataError, match="cannot be read"):
        tree[0]


def test_a_forgotten_tree_closes_its_file(whole, tmp_path):
    path = tmp_path / "data.mdb"
    path.write_bytes(whole)
    tree = BTree(path)
    file = tree._file
    del tree
    gc.collect()
    assert file.closed


def test_an_absent_file_is_a_data_error(tmp_path):
    with pytest.raises(DataError, match="cannot be opened: No such file"):
        BTree(tmp_path / "data.mdb")


def test_threads_may_read_at_once(whole, tmp_path):
    path = tmp_path / "data.mdb"
    path.write_bytes(whole)
    tree, wrong = BTree(path), []

    def read(order):
        wrong.extend(i for i in order if tree[i] != SMALL[i])

    threads = [
        threading.Thread(target=read, args=(np.random.default_rng(s).permutation(80).tolist(),))
        for s in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
