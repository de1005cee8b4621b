"""NAS-Bench-101's official files, written here byte by byte; TFRecords; protocol buffers."""

import base64
import json
import struct
import sys
import tracemalloc

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from weaknas_jax import TableError, load_table
from weaknas_jax.spaces.nasbench101 import cells as nasbench101
from weaknas_jax.spaces.nasbench101 import encodings
from weaknas_jax.tables.__main__ import main
from weaknas_jax.tables.importers import kinds, official101, tfrecord, wire

pytest.importorskip("google_crc32c", reason="the extra 'tfrecord' is not installed")

C3, C1, POOL = nasbench101.OPS


def crc32c(data):
    """By definition, bit by bit."""
    state = 0xFFFFFFFF
    for byte in data:
        state ^= byte
        for _ in range(8):
            state = state >> 1 ^ (0x82F63B78 if state & 1 else 0)
    return state ^ 0xFFFFFFFF


def masked(data):
    plain = crc32c(data)
    return struct.pack("<I", ((plain >> 15 | plain << 17 & 0xFFFFFFFF) + 0xA282EAD8) % 2**32)


def framed(data):
    length = struct.pack("<Q", len(data))
    return length + masked(length) + data + masked(data)


def varint(value):
    low, rest = value % 128, value // 128
    return bytes([low + 128]) + varint(rest) if rest else bytes([low])


def double(number, value):
    return varint(number * 8 + 1) + struct.pack("<d", value)


def inner(number, content):
    return varint(number * 8 + 2) + varint(len(content)) + content


def evaluation(epoch, time, valid, test):
    """With a training accuracy and a checkpoint's path, which nobody asks for."""
    values = [double(i + 1, value) for i, value in enumerate((epoch, time, 0.999, valid, test))]
    return b"".join(values) + inner(6, b"model.ckpt-16875")


def metrics(valid, test, time=1000.5, params=8_555_530, epochs=108):
    """At the start, half-way, and at the end of the training."""
    steps = (evaluation(0, 0, 0.1, 0.1), evaluation(epochs / 2, time / 2, 0.5, 0.5))
    steps += (evaluation(epochs, time, valid, test),)
    message = b"".join(inner(1, step) for step in steps)
    return message + varint(16) + varint(params) + double(3, 2 * time)


def record(key, message, epochs=108, graph=None):
    adjacency, operations = graph or CELLS[key][:2]
    text = base64.encodebytes(message).decode()  # with line breaks, which older Pythons also made
    return json.dumps([key, epochs, adjacency, operations, text]).encode()


CELLS = {  # by hash: what the file says, and the name worked out by hand
    "none": ("0100", "input,output", "008000/....."),
    "pool": ("010001000", f"input,{POOL},output", "100400/p...."),
    "full": (
        "0110001" "0001100" "0000010" "0000001" "0000001" "0000001" "0000000",
        f"input,{C1},{C3},{POOL},{C1},{C3},output",
        "18b08b/13p13",
    ),
}  # fmt: skip
RUNS = {  # valid, test, seconds
    "full": [(0.9, 0.8998, 1500.0), (0.91, 0.9099, 1501.0), (0.9251802884615384, 0.92, 1505.0)],
    "none": [(0.1, 0.1001, 50.0), (0.2, 0.2001, 51.0), (0.3, 0.3001, 52.0)],
    "pool": [(0.7, 0.7001, 99.0), (0.6, 0.6001, 101.5)],
}
PARAMS = {"full": 8_555_530, "none": 227_274, "pool": 2**31 - 1}
ORDER = ("none", "pool", "full")  # of their numbers
GRAPHS = [official101._Cell(row, *CELLS[key][:2]) for row, key in enumerate(ORDER)]


def all_records():
    """Repeats of a cell are in order, cells are not; other epochs between them."""
    mixed = [("full", 0), ("pool", 0), ("full", 1), ("none", 0), ("none", 1), ("pool", 1)]
    mixed += [("full", 2), ("none", 2)]
    for key, repeat in mixed:
        yield record(key, metrics(0.5, 0.5, epochs=4), epochs=4)
        yield record(key, metrics(*RUNS[key][repeat], PARAMS[key]))


@pytest.fixture
def file(tmp_path):
    """Writes records to a file."""

    def write(*contents, name="f.tfrecord"):
        path = tmp_path / name
        path.write_bytes(b"".join(map(framed, contents)))
        return path

    return write


def test_every_value_is_that_of_the_file(file):
    table = official101.read_nasbench101(file(*all_records()))
    assert (table.space, table.dataset) == ("nasbench101", "cifar10")
    assert table.names.tolist() == [CELLS[key][2] for key in ORDER]
    numbers = [int(name[:6], 16) << 10 for name in table.names]
    assert numbers == sorted(numbers)
    for row, key in enumerate(ORDER):
        for repeat in range(3):
            if repeat == len(RUNS[key]):
                assert np.isnan(table.valid[row, repeat])
                assert np.isnan(table.test[row, repeat])
                continue
            valid, test, _ = RUNS[key][repeat]
            assert table.valid[row, repeat] == 100 * valid
            assert table.test[row, repeat] == 100 * test
        assert table.extra["train_time_s"][row] == np.mean([time for *_, time in RUNS[key]])
    assert table.extra["params"].tolist() == [PARAMS[key] for key in ORDER]
    assert table.extra["params"].dtype == np.int64
    encoded = encodings.org(official101._cells(GRAPHS))
    np.testing.assert_array_equal(table.encoding, encoded)
    assert "f.tfrecord, 108 epochs" in table.source


def test_a_graph_is_that_of_its_matrix():
    cells = official101._cells(GRAPHS)
    for row, key in enumerate(ORDER):
        adjacency, operations, _ = CELLS[key]
        names = operations.split(",")
        n = len(names)
        place = [*range(n - 1), 6]  # the output comes last of seven
        for i in range(n):
            for j in range(n):
                assert cells.matrix[row, place[i], place[j]] == int(adjacency[n * i + j])
        assert cells.matrix[row].sum() == adjacency.count("1")
        found = [nasbench101.OPS[o] for o in cells.ops[row, 1:-1] if o != nasbench101.ABSENT]
        assert found == names[1:-1]


def test_other_epochs_are_another_table(file):
    path = file(*all_records())
    table = official101.read_nasbench101(path, epochs=4)
    assert table.version == "official4"
    assert (table.valid[:, 0] == 50).all()
    with pytest.raises(TableError, match=r"f\.tfrecord: no training of 36 epochs; it has 4, 108"):
        official101.read_nasbench101(path, epochs=36)
    with pytest.raises(TableError, match="no training of 108 epochs; it has no training at all"):
        official101.read_nasbench101(file())
    with pytest.raises(TableError, match="unknown dataset 'cifar100'; NAS-Bench-101 has cifar10"):
        official101.read_nasbench101(path, "cifar100")


GOOD = metrics(0.5, 0.5)


def graph(adjacency, operations):
    return record("new", GOOD, graph=(adjacency, operations))


BAD = {
    "no JSON": (b"[1, 2", ": not JSON"),
    "no text": (b"\xff\xfe\xfd", ": not JSON"),
    "deep": (b"[" * 100_000, ": not JSON"),
    "a number": (b"7", ": not a list of hash"),
    "four fields": (b'["a", 108, "0100", "input,output"]', ": not a list of hash"),
    "no hash": (b'[1, 108, "0100", "input,output", ""]', ": not a list of hash"),
    "no epochs": (b'["a", null, "0100", "input,output", ""]', ": not a list of hash"),
    "no base 64": (b'["none", 108, "0100", "input,output", "abcde"]', " (none): its metrics are"),
    "letters": ('["none", 108, "0100", "input,output", "\u00e9"]'.encode(), "not base 64"),
    "empty": (record("none", b""), ": no evaluation data"),
    "no message": (record("none", b"\xff" * 11), ": not a protocol-buffer message"),
    "cut": (record("none", GOOD[:-1]), ": not a protocol-buffer message"),
    "valid": (record("none", metrics(1.5, 0.5)), "valid accuracy is 1.5; expected 0 to 1"),
    "test": (record("none", metrics(0.5, -0.1)), "test accuracy is -0.1; expected 0 to 1"),
    "not a number": (record("none", metrics(np.nan, 0.5)), "valid accuracy is nan"),
    "time": (record("none", metrics(0.5, 0.5, np.nan)), "training time is nan; expected 0 to inf"),
    "half": (record("none", metrics(0.5, 0.5, epochs=54)), "is after 54 of 108 epochs"),
    "no test": (
        record("none", inner(1, double(2, 1.0) + double(4, 0.5))),
        "its last evaluation has no test accuracy",
    ),
    "no parameters": (record("none", inner(1, evaluation(108, 1, 0.5, 0.5))), "no number of"),
    "too many": (record("none", metrics(0.5, 0.5, params=2**31)), "no number of parameters"),
    "other graph": (
        record("none", GOOD, graph=CELLS["pool"][:2]),
        " (none): its graph is not that of the records before with its hash",
    ),
    "one node": (graph("0", "input"), " (new): 1 operations; a cell has 2 to 7"),
    "eight nodes": (graph("0" * 64, "input,output" + ",output" * 6), "8 operations"),
    "short": (graph("010", "input,output"), "its adjacency is not 2 x 2 of 0 and 1"),
    "twos": (graph("0200", "input,output"), "its adjacency is not 2 x 2 of 0 and 1"),
    "unknown": (graph("010001000", "input,conv7x7,output"), "operations are input,conv7x7,output"),
    "no output": (graph("0100", f"input,{POOL}"), "its operations are input,maxpool3x3;"),
    "cycle": (graph("010001010", f"input,{POOL},output"), "an edge leads back"),
    "ten edges": (
        graph("01111" "00111" "00011" "00001" "00000", f"input,{C1},{C1},{C1},output"),
        "it has 10 edges; a cell has at most 9",
    ),
    "dead end": (graph("011000000", f"input,{POOL},output"), "not on a path from input to"),
    "no input": (graph("001001000", f"input,{POOL},output"), "not on a path from input to"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_a_record_that_is_not_of_the_benchmark_is_named(case, file):
    content, message = BAD[case]
    path = file(record("none", GOOD), content, record("none", GOOD))
    with pytest.raises(TableError) as error:
        official101.read_nasbench101(path)
    assert str(error.value).startswith(f"{path}: record 1")
    assert message in str(error.value)


def test_repeats_and_hashes_are_counted(file):
    with pytest.raises(TableError, match=r"record 3 \(none\): more than 3 repeats"):
        official101.read_nasbench101(file(*[record("none", GOOD)] * 4))
    with pytest.raises(TableError, match="the hashes none and new have the same graph"):
        official101.read_nasbench101(file(record("none", GOOD), graph(*CELLS["none"][:2])))


def test_the_framing_is_tensorflows(file):
    """Bytes that TensorBoard's writer made; and the checksum's published test value."""
    assert crc32c(b"123456789") == 0xE3069283
    made = bytes.fromhex("0300000000000000b099490e6f6e6501405508000000000000000029039807d8ea82a2")
    assert framed(b"one") + framed(b"") == made
    path = file()
    path.write_bytes(made)
    assert list(tfrecord.records(path)) == [b"one", b""]


def test_every_truncation_is_told_but_one_between_records(file):
    contents = [b"first", b"", b"the third one"]
    path = file(*contents)
    whole, ends = path.read_bytes(), np.cumsum([0] + [len(framed(c)) for c in contents]).tolist()
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        number = sum(size >= end for end in ends[1:])
        if size in ends:
            assert list(tfrecord.records(path)) == contents[:number]
            continue
        where = rf"f\.tfrecord: record {number} at byte {ends[number]}: the file ends .* again"
        with pytest.raises(TableError, match=where):
            list(tfrecord.records(path))


def test_every_flipped_bit_is_told(file):
    path = file(b"one", b"two")
    whole, first = path.read_bytes(), len(framed(b"one"))
    for bit in range(8 * len(whole)):
        raw = bytearray(whole)
        raw[bit // 8] ^= 1 << bit % 8
        path.write_bytes(bytes(raw))
        number = int(bit // 8 >= first)
        with pytest.raises(TableError, match=f"record {number} at byte {number * first}: "):
            list(tfrecord.records(path))


def test_a_length_beyond_the_file_asks_for_no_memory(file):
    path = file()
    for length in (2**20, 2**62, 2**64 - 1):
        header = struct.pack("<Q", length)
        path.write_bytes(header + masked(header) + bytes(100))
        with pytest.raises(TableError, match="record 0 at byte 0: the file ends before"):
            list(tfrecord.records(path))


def test_one_record_is_in_memory_at_a_time(file):
    path = file()
    path.write_bytes(framed(bytes(1000)) * 8_000)
    tracemalloc.start()
    assert sum(1 for _ in tfrecord.records(path)) == 8_000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4e6


def test_what_cannot_be_read_is_named(tmp_path):
    for path, why in ((tmp_path, "Is a directory"), (tmp_path / "none", "No such file")):
        with pytest.raises(TableError, match=f"{path.name}: cannot be read .{why}"):
            official101.read_nasbench101(path)


def test_without_the_checksum_the_message_says_what_to_install(file, monkeypatch, capsys):
    path, text = file(record("none", GOOD)), file(name="t.csv")
    text.write_text("depth,valid\n1,50\n2,60\n")
    monkeypatch.setitem(sys.modules, "google_crc32c", None)
    assert main(["import", str(path), f"--out={path}.npz"]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"error: {path}: ")
    assert "needs google-crc32c: pip install -e '.[tfrecord]'" in said
    assert kinds.kind_of(text) == "csv"


def test_the_command_tells_the_file_by_its_content(file, tmp_path, capsys):
    path, out = file(*all_records(), name="f.pth"), tmp_path / "o.npz"
    assert main(["import", str(path), f"--out={out}"]) == 0
    said = capsys.readouterr().out
    assert "nasbench101 / cifar10 official108" in said
    assert "1 labels missing" in said
    assert "the file has 3 of the 423,624 architectures" in said
    table = load_table(out)
    np.testing.assert_array_equal(table.valid, official101.read_nasbench101(path).valid)
    assert main(["import", str(path), f"--out={out}", "--overwrite", "--epochs=4"]) == 0
    assert load_table(out).version == "official4"
    capsys.readouterr()
    assert main(["import", str(path), f"--out={tmp_path / 'p.npz'}", "--scale=100"]) == 2
    assert "which is an official NAS-Bench-101 file" in capsys.readouterr().err


@pytest.mark.parametrize("length", [128 + 256, ord("P") + 256 * ord("K"), 0xFEFF])
def test_a_length_is_not_taken_for_another_kind(length, file):
    """384 begins like a pickle, 19,280 like a .zip, 65,279 like UTF-16."""
    assert kinds.kind_of(file(bytes(length))) == "tfrecord"


@pytest.fixture(scope="module")
def message_types():
    """The schema as the benchmark has it, made by the protobuf package."""
    pool_of = pytest.importorskip("google.protobuf.descriptor_pool")
    factory = pytest.importorskip("google.protobuf.message_factory")
    from google.protobuf.descriptor_pb2 import FieldDescriptorProto as Field
    from google.protobuf.descriptor_pb2 import FileDescriptorProto

    schema = FileDescriptorProto(name="metrics.proto", package="test", syntax="proto2")
    data = schema.message_type.add(name="EvaluationData")
    accuracies = (f"{part}_accuracy" for part in ("train", "validation", "test"))
    for number, name in enumerate(("current_epoch", "training_time", *accuracies), 1):
        data.field.add(name=name, number=number, type=Field.TYPE_DOUBLE, label=1)
    data.field.add(name="checkpoint_path", number=6, type=Field.TYPE_STRING, label=1)
    whole = schema.message_type.add(name="ModelMetrics")
    whole.field.add(
        name="evaluation_data", number=1, type=Field.TYPE_MESSAGE, label=3,
        type_name=".test.EvaluationData",
    )  # fmt: skip
    whole.field.add(name="trainable_parameters", number=2, type=Field.TYPE_INT32, label=1)
    whole.field.add(name="total_time", number=3, type=Field.TYPE_DOUBLE, label=1)
    pool = pool_of.DescriptorPool()
    pool.Add(schema)
    return factory.GetMessageClass(pool.FindMessageTypeByName("test.ModelMetrics"))


fraction = st.floats(0, 1)


@settings(deadline=None, max_examples=40)
@given(
    runs=st.lists(st.tuples(fraction, fraction, st.floats(0, 1e6)), min_size=1, max_size=4),
    params=st.integers(0, 2**31 - 1),
    checkpoint=st.sampled_from(["", "model.ckpt-16875", "é" * 200]),
)
def test_messages_of_the_protobuf_package_are_read(message_types, runs, params, checkpoint):
    message = message_types(trainable_parameters=params, total_time=7.5)
    for valid, test, time in runs:
        message.evaluation_data.add(
            current_epoch=108, training_time=time, train_accuracy=1.0, validation_accuracy=valid,
            test_accuracy=test, checkpoint_path=checkpoint,
        )  # fmt: skip
    found = official101._run(base64.b64encode(message.SerializeToString()).decode(), 108)
    valid, test, time = runs[-1]
    assert found == (100 * valid, 100 * test, time, params)


def test_our_own_message_is_what_the_protobuf_package_reads(message_types):
    message = message_types.FromString(metrics(0.25, 0.5))
    assert [e.current_epoch for e in message.evaluation_data] == [0, 54, 108]
    assert message.evaluation_data[2].validation_accuracy == 0.25
    assert (message.trainable_parameters, message.total_time) == (8_555_530, 2001)


@given(st.binary(max_size=60))
def test_any_bytes_are_fields_or_an_error(raw):
    try:
        found = list(wire.fields(raw))
    except TableError:
        return
    assert (len(found) == 0) == (raw == b"")


@settings(
    deadline=None, max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.data())
def test_damage_behind_a_right_checksum_is_an_error_or_a_table(file, data):
    raw = bytearray(record("full", metrics(0.5, 0.25)))
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    try:
        table = official101.read_nasbench101(file(bytes(raw)))
    except TableError:
        return
    assert table.valid.shape == table.test.shape == (1, 3)
