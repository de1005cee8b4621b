"""What a command prints, leaves behind and outlives."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weaknas_jax.jobs import processes, workers
from weaknas_jax.jobs.command import Command, CommandError, last_line, score

ARCH = {"depth": 1}


def run(folder, text, **more):
    return Command(f"{text} # {{depth}}", ("depth",), folder / "logs", **more)(ARCH)


def printed(folder, content: bytes, **more):
    (folder / "content").write_bytes(content)
    return run(folder, f"cat {folder / 'content'}", **more)


def runs(name: str) -> bool:
    """Whether a process of that command line runs."""
    listed = subprocess.run(["ps", "-eo", "stat,args"], capture_output=True, text=True, check=True)
    return any(
        line.split(None, 1)[1:] == [name] and line[0] != "Z" for line in listed.stdout.splitlines()
    )


SCORES = {
    "a bar, then a line": b"10%\r20%\r100%\n93.5",
    "a bar on the line": b"epoch 1\n\r 10%|#   |\r 20%|##  |\r93.5\n",
    "a bar that was wiped": b"\r 10%\r      \r93.5\n",
    "a bar that ends after it": b"93.5\n\r     \r\n",
    "backspaces": b"1/3\b\b\b2/3\b\b\b93.5\n",
    "Windows": b"epoch 1\r\n93.5\r\n",
    "blank lines": b"93.5\n\n  \n\t\n",
    "colours": b"\x1b[1;32m93.5\x1b[0m\x1b[K\n",
    "colours of many": b"\x1b[38;2;255;10;0m93\x1b[39m.5\x1b[m",
    "a cursor shown again": b"\x1b[?25l93.5\n\x1b[?25h",
    "a title": b"\x1b]0;training 93 %\x0793.5\n",
    "a link": b"\x1b]8;;http://x\x1b\\93.5\x1b]8;;\x1b\\\n",
    "a character set": b"\x1b(B93.5\x1b[m",
    "a mark of UTF-8": b"\xef\xbb\xbf93.5",
    "bytes of no text": b"\xff\xfe\x00 nonsense\n93.5\n",
    "JSON in colour": b'\x1b[32m{"score": 93.5}\x1b[0m\r\n',
}


@pytest.mark.parametrize("name", SCORES)
def test_the_last_line_is_what_a_terminal_would_show(name, tmp_path):
    (tmp_path / "log").write_bytes(SCORES[name])
    line = last_line(tmp_path / "log")
    assert score(line, tmp_path / "log") in (93.5, {"score": 93.5})


NOISE = st.lists(
    st.sampled_from(["\r", "\n", "\r\n", " ", "\x1b[0m", "\x1b[2K\r", "\x1b[?25h", "\x1b[31m"])
)


@given(
    before=st.text(st.characters(codec="utf-8", exclude_characters="\x1b"), max_size=20),
    noise=NOISE,
    number=st.floats(allow_nan=False, allow_infinity=False),
    after=NOISE,
)
def test_whatever_is_drawn_around_it_the_score_is_read(
    before, noise, number, after, tmp_path_factory
):
    path = tmp_path_factory.getbasetemp() / "line"
    text = before + "\r" + "".join(noise) + repr(number) + "".join(after)
    path.write_bytes(text.encode())
    assert score(last_line(path), path) == number


@pytest.mark.parametrize(
    "content", [b"93.5\nacc: 93.5\r\n", b"93.5\r100%|##|\n", b"", b"\r\n\x1b[0m"]
)
def test_no_other_number_is_taken_for_the_score(content, tmp_path):
    with pytest.raises(CommandError, match="is no number and no JSON"):
        printed(tmp_path, content)


def test_the_command_itself_is_no_output(tmp_path):
    with pytest.raises(CommandError, match="the last line of output, '', is no number"):
        Command("true {depth}", ("depth",), tmp_path / "logs")({"depth": "'\n7\n'"})


def test_a_log_is_bounded_and_the_score_still_read(tmp_path):
    """Head and tail are there, what is between is counted, on both streams."""
    lines = 2_000_000
    script = f"seq {lines}; seq {lines} >&2; echo; echo 93.5"
    assert run(tmp_path, f"sh -c '{script}'") == 93.5
    for name in ("00001.log", "00001.err"):
        content = (tmp_path / "logs" / name).read_bytes()
        assert len(content) <= processes.HEAD + 2 * processes.TAIL + 1000
        left_out = content.partition(b"\n... ")[2].partition(b" bytes are left out here ...\n")
        head, tail = content.partition(b"\n... ")[0], left_out[2]
        begin = head.split(b"\n", 1)[1] if name.endswith("log") else head
        whole = b"".join(b"%d\n" % (i + 1) for i in range(lines))
        whole += b"\n93.5\n" if name.endswith("log") else b""
        assert whole.startswith(begin)
        assert whole.endswith(tail)
        assert len(begin) == processes.HEAD
        assert len(tail) >= processes.TAIL
        assert len(begin) + int(left_out[0]) + len(tail) == len(whole)


def test_a_long_line_without_an_end_is_bounded_too(tmp_path):
    script = f'{sys.executable} -c \'print("#" * 5_000_000, end="\\r"); print(7)\''
    assert run(tmp_path, script) == 7
    with pytest.raises(CommandError, match=r"exit status 3; '#{200}' in"):
        run(tmp_path, f"{{ {script} | tr -d '\\r7'; exit 3; }}")


@pytest.mark.parametrize(
    "left", ["sleep {0} & echo 5", "(trap '' TERM; exec sleep {0}) & sleep 0.2; echo 5"]
)
def test_what_a_command_leaves_behind_is_ended(left, tmp_path, monkeypatch):
    monkeypatch.setattr(processes, "_PATIENCE", 0.5)
    name = f"3{os.getpid()}.{len(left)}"
    assert run(tmp_path, f"{{ {left.format(name)}; }}") == 5
    assert not runs(f"sleep {name}")


def test_a_daemon_holds_neither_a_worker_nor_the_score(tmp_path):
    """It left the group of the command, and has its output open."""
    pid, name = tmp_path / "pid", f"600.{os.getpid()}"
    daemon = f"setsid sh -c 'echo $$ > {pid}.new; mv {pid}.new {pid}; exec sleep {name}'"
    text = f"{daemon} & while [ ! -e {pid} ]; do sleep 0.01; done; echo 5"
    try:
        assert run(tmp_path, f"{{ {text}; }}") == 5
        os.kill(int(pid.read_text()), 0)  # it is still there
    finally:
        os.kill(int(pid.read_text()), signal.SIGKILL)


def test_a_time_out_ends_the_whole_group(tmp_path, monkeypatch):
    monkeypatch.setattr(processes, "_PATIENCE", 0.5)
    name = f"4{os.getpid()}.1"
    text = f"{{ (trap '' TERM; exec sleep {name}) & sleep {name}; }}"
    with pytest.raises(CommandError, match=r"took longer than 0\.4 s"):
        run(tmp_path, text, limit=0.4)
    assert not runs(f"sleep {name}")


KILLED = """
import sys
from pathlib import Path
from weaknas_jax.jobs.command import Command
Command(sys.argv[1], ("depth",), Path(sys.argv[2]))({"depth": 1})
"""


def test_a_command_writes_on_when_the_search_is_killed(tmp_path):
    """It is not ended by a pipe that nobody reads, and its log is whole."""
    text = textwrap.dedent("""
        echo begin {depth}; touch begun; while [ ! -e go ]; do sleep 0.05; done
        seq 200000; echo 93.5; touch over
    """)
    line = [sys.executable, "-c", KILLED, text, str(tmp_path / "logs")]
    root = str(Path(__file__).parents[2])
    environment = {**os.environ, "JAX_PLATFORMS": "cpu", "PYTHONPATH": root}
    search = subprocess.Popen(line, cwd=tmp_path, env=environment)
    while not (tmp_path / "begun").exists():
        time.sleep(0.02)
    search.send_signal(signal.SIGKILL)
    search.wait()
    (tmp_path / "go").touch()
    for _ in range(3000):
        if (tmp_path / "over").exists() and last_line(tmp_path / "logs" / "00001.log") == "93.5":
            break
        time.sleep(0.02)
    content = (tmp_path / "logs" / "00001.log").read_text()
    assert content.endswith("199999\n200000\n93.5\n")
    assert "\nbegin 1\n1\n2\n3\n" in content


def test_logs_are_never_written_over(tmp_path):
    run(tmp_path, "echo 1")
    run(tmp_path, "echo 2")
    (tmp_path / "logs" / "00001.log").unlink()
    run(tmp_path, "echo 3")
    names = sorted(path.name for path in (tmp_path / "logs").iterdir())
    assert names == ["00002.log", "00003.log"]
    assert last_line(tmp_path / "logs" / "00002.log") == "2"


def test_a_command_knows_whether_it_is_a_repeat(tmp_path):
    command = Command("echo $WEAKNAS_REPEAT # {depth}", ("depth",), tmp_path / "logs")
    with ThreadPoolExecutor(1) as threads:
        for repeat in (0, 1, 0):
            outcome = threads.submit(workers.attempt, command, ARCH, repeat).result()
            assert outcome.score == repeat
    assert workers.repeat_number() == 0
