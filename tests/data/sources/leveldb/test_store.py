"""LevelDbStore: what it reads is what LevelDB wrote; what is damaged is refused, never followed."""

import contextlib
import os
import shutil
import struct
import sys
import threading

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from minidl.data.sources.leveldb import files, log, table
from minidl.data.sources.leveldb.store import LevelDbStore
from minidl.errors import DataError
from tests.data.support import write_leveldb

pytest.importorskip("plyvel")
pytest.importorskip("cramjam")


def numbered(sizes, seed=0):
    """Records half of whose bytes are noise and half zeros, so that Snappy has work to do."""
    rng = np.random.default_rng(seed)
    return [
        (b"%08d" % i, rng.bytes(size // 2) + bytes(size - size // 2))
        for i, size in enumerate(sizes)
    ]


FEW = numbered([60] * 40)
STORES = {  # runs of writes, options
    "one record, in the log": ([numbered([3])], {}),
    "empty values": ([numbered([0, 5, 0])], {}),
    "a log of several blocks": ([numbered([900] * 300)], {}),
    "a record longer than a block of the log": ([numbered([100_000, 1, 70_000])], {}),
    "a table": ([numbered([200] * 300), []], {}),
    "a table that is not compressed": ([numbered([200] * 300), []], {"compression": None}),
    "tables in several levels": ([numbered([300] * 3000), []], {"write_buffer_size": 1 << 16}),
    "caffe's large blocks": ([numbered([800] * 500), []], {"block_size": 1 << 16}),
    "written over": ([FEW, numbered([70] * 20, 1), numbered([80] * 30, 2)], {}),
    "deleted": ([FEW, [(k, None) for k, _ in FEW[3:30:2]], [(FEW[5][0], b"again")]], {}),
    "backwards, in the log": ([FEW[::-1]], {}),
    "a key twice in a batch": ([[(b"k", b"first"), (b"a", b"1"), (b"k", b"second")]], {}),
    "keys within keys": ([[(b"a" * n, bytes([n])) for n in range(1, 90)], []], {}),
}


def expected(runs):
    found = {}
    for records in runs:
        found.update(records)
    return sorted((k, v) for k, v in found.items() if v is not None)


@pytest.fixture(params=STORES.values(), ids=STORES.keys(), scope="module")
def store(request, tmp_path_factory):
    runs, options = request.param
    folder = write_leveldb(tmp_path_factory.mktemp("stores") / "db", *runs, **options)
    return folder, expected(runs)


def test_records_come_back_in_the_order_of_keys(store):
    folder, records = store
    found = LevelDbStore(folder)
    assert [found[i] for i in range(len(found))] == records


def test_records_come_back_in_any_order(store):
    folder, records = store
    found = LevelDbStore(folder)
    order = np.random.default_rng(1).permutation(len(records))[:300]
    assert [found[int(i)] for i in order] == [records[i] for i in order]


def test_nothing_in_the_folder_is_changed(store):
    folder, _ = store

    def contents():
        return {p.name: (p.stat().st_mtime_ns, p.read_bytes()) for p in folder.iterdir()}

    before = contents()
    LevelDbStore(folder).close()
    assert contents() == before


def test_a_number_outside_is_an_index_error(store):
    folder, records = store
    for number in (-1, len(records)):
        with pytest.raises(IndexError):
            LevelDbStore(folder)[number]


def test_tables_that_a_compaction_replaced_are_passed_over(tmp_path):
    import plyvel

    with plyvel.DB(str(tmp_path), create_if_missing=True, write_buffer_size=1 << 16) as store:
        for round_ in range(3):
            for key, value in numbered([300] * 600, round_):
                store.put(key, value)
        store.compact_range()
    assert read_all(tmp_path) == numbered([300] * 600, 2)


def test_a_store_without_records_is_empty(tmp_path):
    assert len(LevelDbStore(write_leveldb(tmp_path / "db", []))) == 0


def test_an_older_name_of_a_table_is_known(tmp_path):
    folder = write_leveldb(tmp_path / "db", FEW, [])
    (table,) = folder.glob("*.ldb")
    table.rename(table.with_suffix(".sst"))
    assert len(LevelDbStore(folder)) == len(FEW)


def test_a_log_that_no_longer_counts_is_passed_over(tmp_path):
    folder = write_leveldb(tmp_path / "db", FEW, [])
    (folder / "000001.log").write_bytes(b"rubbish")
    assert len(LevelDbStore(folder)) == len(FEW)


def test_space_that_a_log_set_aside_is_no_damage(tmp_path):
    folder = write_leveldb(tmp_path / "db", FEW)
    (log,) = folder.glob("*.log")
    with open(log, "ab") as file:
        file.write(bytes(50_000))
    assert len(LevelDbStore(folder)) == len(FEW)


# ---------------------------------------------------------------------- damage


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A store with a table and a log."""
    runs = numbered([200] * 300), numbered([4000] * 50, 1)
    return write_leveldb(tmp_path_factory.mktemp("whole") / "db", *runs)


@pytest.fixture
def copy(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "copy")


def read_all(folder):
    found = LevelDbStore(folder)
    return [found[i] for i in range(len(found))]


def only(folder, pattern):
    (path,) = folder.glob(pattern)
    return path


def change(pattern, edit):
    def spoil(folder):
        path = only(folder, pattern)
        path.write_bytes(edit(path.read_bytes()))

    return spoil


def patched(offset, form, *values):
    def edit(data):
        data = bytearray(data)
        struct.pack_into(form, data, offset % len(data), *values)
        return bytes(data)

    return edit


DAMAGE = {
    "no manifest": (lambda f: only(f, "MANIFEST*").unlink(), r"MANIFEST-\d+: is missing"),
    "a strange CURRENT": (change("CURRENT", lambda d: b"../../x\n"), "CURRENT: is damaged: it doe"),
    "no table": (lambda f: only(f, "*.ldb").unlink(), r"\.ldb: is missing: the store was not"),
    "a cut table": (change("*.ldb", lambda d: d[:-9]), r"\.ldb: was cut short: it has [\d,]+ of"),
    "a cut log": (change("*.log", lambda d: d[:-9]), r"\.log: was cut short"),
    "a log cut between fragments": (
        change("*.log", lambda d: d[: log.BLOCK]),
        "was cut short: its last record has no end",
    ),
    "a cut manifest": (change("MANIFEST*", lambda d: d[:-9]), r"MANIFEST-\d+: was cut short"),
    "no table at all": (change("*.ldb", patched(-1, "B", 7)), "last bytes are not those of a Lev"),
    "an index outside": (change("*.ldb", patched(-46, "<I", 0xFFFFFFFF)), r"\.ldb: is damaged"),
    "another comparator": (
        change("MANIFEST*", lambda d: d.replace(b"Bytewise", b"ByteBite")),
        "is ordered by leveldb.ByteBiteComparator",
    ),
    "a strange fragment": (change("*.log", patched(6, "B", 9)), "a fragment of kind 9 at byte 0"),
    "an end without a start": (change("*.log", patched(6, "B", 4)), "fragment of kind 4 at byte 0"),
    "a batch of more": (change("*.log", patched(15, "<I", 999)), "record at byte 0 does not add"),
}


@pytest.mark.parametrize("spoil, message", DAMAGE.values(), ids=DAMAGE.keys())
def test_damage_is_named_with_its_file(copy, spoil, message):
    spoil(copy)
    with pytest.raises(DataError, match=message):
        read_all(copy)


def block_of(folder, data):
    """The same table with its first block's bytes replaced, one of the same length."""
    path = only(folder, "*.ldb")
    offset, size = table.blocks(files.File(path))[0]
    old = path.read_bytes()
    path.write_bytes(
        old[:offset] + data(old[offset : offset + size + 1]) + old[offset + size + 1 :]
    )


BLOCKS = {
    "another compression": (lambda b: b[:-1] + b"\x07", "byte 0 has the compression 7"),
    "Zstandard": (lambda b: b[:-1] + b"\x02", "compressed with Zstandard"),
    "no Snappy": (
        lambda b: b[:3] + b"\xff" * 50 + b[53:],
        "the block at byte 0 cannot be expanded",
    ),
    "a claim of 4 GB": (lambda b: b"\xff\xff\xff\xff\x0f" + b[5:], "at byte 0 does not add up"),
    "not compressed": (lambda b: b[:-1] + b"\x00", "the block at byte 0 does not add up"),
}


@pytest.mark.parametrize("data, message", BLOCKS.values(), ids=BLOCKS.keys())
def test_a_damaged_block_is_named_with_its_place(copy, data, message):
    block_of(copy, data)
    with pytest.raises(DataError, match=rf"\.ldb: .*{message}"):
        read_all(copy)


def test_without_cramjam_a_compressed_store_names_it(copy, monkeypatch):
    monkeypatch.setitem(sys.modules, "cramjam", None)
    with pytest.raises(DataError, match=r"Snappy(.|\n)*pip install cramjam"):
        LevelDbStore(copy)


def test_a_file_that_goes_while_it_is_read_is_an_error(copy):
    found = LevelDbStore(copy)
    os.truncate(only(copy, "*.ldb"), 100)
    with pytest.raises(DataError, match="was cut short"):
        for i in range(len(found)):
            found[i]


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_damage_gives_anything_but_records_or_a_data_error(copy, whole, data):
    name = data.draw(st.sampled_from(sorted(p.name for p in whole.iterdir() if "LO" not in p.name)))
    content = bytearray((whole / name).read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        near = data.draw(st.sampled_from([0, len(content) - 60, len(content) // 2]))
        at = (near + data.draw(st.integers(0, 80))) % max(len(content), 1)
        content[at : at + 1] = data.draw(st.binary(min_size=1, max_size=2))
    if data.draw(st.booleans()):
        del content[data.draw(st.integers(0, len(content))) :]
    (copy / name).write_bytes(content)
    try:
        with contextlib.suppress(DataError):
            for key, value in read_all(copy):
                assert len(key) + len(value) < 100_000
    finally:
        shutil.copy(whole / name, copy / name)


# ---------------------------------------------------------------------- threads, closing


def test_reading_after_close_is_refused(whole):
    found = LevelDbStore(whole)
    found.close()
    with pytest.raises(DataError, match="cannot be read: it was closed"):
        found[0]


def test_threads_may_read_at_once(whole):
    found, records, wrong = LevelDbStore(whole), read_all(whole), []

    def read(order):
        wrong.extend(i for i in order if found[i] != records[i])

    orders = [np.random.default_rng(s).permutation(len(records))[:80].tolist() for s in range(4)]
    threads = [threading.Thread(target=read, args=(order,)) for order in orders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_block_whose_keys_repeat_a_long_one_is_damaged():
    """Each of its last entries takes six bytes in the file and a megabyte in memory."""
    length = 1 << 20
    size = b"\x80\x80\x40"  # as a varint
    block = b"\x00" + size + b"\x00" + bytes(length) + (size + b"\x00\x00") * 1000
    with pytest.raises(ValueError):
        for _ in table._parse(block + bytes(4)):
            pass
    short = b"\x00\x03\x00abc" + b"\x03\x01\x00d" * 3
    assert [key for key, _ in table._parse(short + bytes(4))] == [b"abc", b"abcd", b"abcd", b"abcd"]


def test_a_pipe_in_the_folder_is_no_file_of_the_store(copy):
    only(copy, "MANIFEST-*").unlink()
    os.mkfifo(copy / (copy / "CURRENT").read_text().strip())
    with pytest.raises(DataError, match="MANIFEST-.*is not a regular file"):
        read_all(copy)


def test_an_index_opens_a_store_without_reading_it(tmp_path, monkeypatch):
    records = [(b"%05d" % i, bytes([i % 256]) * (i % 700)) for i in range(900)]
    folder = write_leveldb(tmp_path / "db", records[:500], records[400:], write_buffer_size=20000)
    before = LevelDbStore(folder)
    before.save_index(tmp_path / "index")
    with monkeypatch.context() as patch:
        patch.setattr(LevelDbStore, "_count", None)  # which reads all of it
        again = LevelDbStore(folder, tmp_path / "index")
    assert len(again) == len(before) == 900
    assert [again[i] for i in range(900)] == [before[i] for i in range(900)] == records


def test_an_index_of_another_store_or_a_damaged_one_does_not_count(tmp_path):
    records = [(b"%05d" % i, b"x" * 50) for i in range(90)]
    folder = write_leveldb(tmp_path / "db", records[:50])
    LevelDbStore(folder).save_index(tmp_path / "index")
    write_leveldb(tmp_path / "db", records)
    assert len(LevelDbStore(folder, tmp_path / "index")) == 90
    LevelDbStore(folder).save_index(tmp_path / "index")
    data = (tmp_path / "index").read_bytes()
    for cut in (0, 10, len(data) // 2, len(data) - 1):
        (tmp_path / "index").write_bytes(data[:cut])
        assert len(LevelDbStore(folder, tmp_path / "index")) == 90
    assert len(LevelDbStore(folder, tmp_path / "no")) == 90
