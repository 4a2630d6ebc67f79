"""What runs put out, kept and played again: every byte in order, no hole that is not told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec
import pytest
from msgspec.structs import replace
from support.run_dialogues import answer, began, idle, published, sent_run
from support.slow_reader import Reader, events

from kernel_status_ext.api import recordings as module
from kernel_status_ext.api.recordings import FAR_BEHIND, Recording, Recordings
from kernel_status_ext.api.sse import KEEP_ALIVE, PIECE
from kernel_status_ext.core.run import Run
from kernel_status_ext.core.run_messages import Resulted, Stderr, Stdout

PLENTY = 1 << 20
ENDED = sent_run(began(), published(), answer(), idle())
RUNNING = sent_run(began())


def resulted(text: str) -> Resulted:
    """A result whose plain text this is."""
    return Resulted(msgspec.Raw(msgspec.json.encode({"text/plain": text})), msgspec.Raw(b"{}"), 3)


@pytest.fixture
def make_reader(request: pytest.FixtureRequest) -> Callable[..., Reader]:
    """Make readers whose loops are closed in the end."""

    def make(*, reads: bool = True) -> Reader:
        reader = Reader(reads=reads)
        request.addfinalizer(reader.loop.close)
        return reader

    return make


MakeReader = Callable[..., Reader]


def recorded(count: int = 5, limit: int = PLENTY, *, ended: bool = True) -> Recording:
    """A run that put out some lines: with its first event and its last `count + 2` events."""
    recording = Recording(limit)
    recording.begin(RUNNING)
    for number in range(count):
        recording.put(Stdout(f"line {number}\n"))
    if ended:
        recording.end(ENDED)
    return recording


def names(recording: Recording, number: int = 0) -> list[tuple[str, int]]:
    """The names and ids of what is given again after an event."""
    return [(name, each) for name, each, _ in events(b"".join(recording.after(number)))]


# -- what is kept ------------------------------------------------------------------------------


def test_a_recording_is_numbered_from_one() -> None:
    """The run, what it put out, its end: each event has its id."""
    assert names(recorded(2)) == [("run", 1), ("stdout", 2), ("stdout", 3), ("done", 4)]


def test_what_was_put_out_stands_in_its_event() -> None:
    """As it came, in order."""
    recording = Recording(PLENTY)
    recording.begin(RUNNING)
    recording.put(Stderr("two\nlines \N{SNOWMAN}"))
    recording.put(resulted("1"))
    recording.end(ENDED)
    run, stderr, result, done = [data for _, _, data in events(b"".join(recording.after(0)))]
    assert run["run"]["run_id"] == "run"
    assert stderr == {"data": "two\nlines \N{SNOWMAN}"}
    assert result == {"data": {"text/plain": "1"}, "metadata": {}, "execution_count": 3}
    assert done["output"] == {"mimetype": "text/plain", "data": "1"}


def test_of_two_results_the_last_is_the_output() -> None:
    """A kernel that sends two means the second."""
    recording = Recording(PLENTY)
    for text in ("1", "2"):
        recording.put(resulted(text))
    recording.end(ENDED)
    assert events(b"".join(recording.after(0)))[-1][2]["output"]["data"] == "2"


@pytest.mark.parametrize("ended", [True, False])
@pytest.mark.parametrize("limit", [PLENTY, 300, 0])
def test_resuming_at_every_position_gives_the_same(limit: int, *, ended: bool) -> None:
    """What comes after an event is the end of the whole, wherever somebody comes back."""
    recording = recorded(8, limit, ended=ended)
    whole = names(recording)
    for number in range(10 + ended):
        assert names(recording, number) == [each for each in whole if each[1] > number]


def test_nothing_comes_after_the_last_event() -> None:
    """Whoever has had everything gets nothing."""
    recording = recorded(3)
    assert recording.has_ended
    assert names(recording, 5) == []
    assert names(recording, 4) == [("done", 5)]


def test_only_events_that_were_sent_are_known() -> None:
    """Zero is before the first."""
    recording = recorded(3)
    known = [number for number in range(-2, 9) if recording.is_known_after(number)]
    assert known == [0, 1, 2, 3, 4, 5]


# -- what is not kept --------------------------------------------------------------------------


def room_for(count: int) -> int:
    """The bytes that so many events of a recording take, the first included."""
    return recorded(count - 1, ended=False).size


def test_what_goes_beyond_the_limit_is_not_kept_and_that_is_said() -> None:
    """A beginning without a hole, then the number of events that are missing, then the end."""
    recording = recorded(5, room_for(3))
    *kept, truncated, done = events(b"".join(recording.after(0)))
    assert [(name, number) for name, number, _ in kept] == [
        *(("run", 1), ("stdout", 2), ("stdout", 3))
    ]
    size = recorded(5, ended=False).size - room_for(3)
    assert truncated == ("truncated", 6, {"dropped_events": 3, "dropped_bytes": size})
    assert (done[0], done[1]) == ("done", 7)


def test_a_small_event_after_a_large_one_leaves_no_hole() -> None:
    """What is kept is a beginning: nothing after the first event that was not."""
    recording = Recording(500)
    recording.put(Stdout("a"))
    recording.put(Stdout("x" * 1000))
    recording.put(Stdout("b"))
    assert names(recording) == [("stdout", 1), ("truncated", 3)]


def test_a_reader_is_told_of_what_is_missing_for_it() -> None:
    """Not of what it has had already."""
    recording = recorded(5, room_for(3))
    missing = [
        data["dropped_events"]
        for number in range(7)
        for name, _, data in events(b"".join(recording.after(number)))
        if name == "truncated"
    ]
    assert missing == [3, 3, 3, 3, 2, 1]
    assert names(recording, 6) == [("done", 7)]


def test_whose_stream_it_is_is_kept_whatever_the_limit() -> None:
    """A stream that does not say that would be none."""
    assert names(recorded(2, 0)) == [("run", 1), ("truncated", 3), ("done", 4)]


def test_the_size_is_what_is_kept() -> None:
    """It counts towards what all recordings may take."""
    for limit in (PLENTY, room_for(3), 0):
        recording = recorded(5, limit)
        kept = [e for e in _blocks(b"".join(recording.after(0))) if b"event: truncated" not in e]
        assert recording.size == sum(map(len, kept))


def _blocks(raw: bytes) -> list[bytes]:
    return [block + b"\n\n" for block in raw.split(b"\n\n") if block]


def test_a_live_reader_gets_everything(make_reader: MakeReader) -> None:
    """The limit is for those who come back."""
    recording, reader = Recording(0), make_reader()
    recording.begin(RUNNING)
    recording.join(reader.out, 1, reader.send_away)
    for number in range(5):
        recording.put(Stdout(str(number)))
    recording.end(ENDED)
    assert [data["data"] for name, _, data in events(reader.bytes) if name == "stdout"] == [
        *"01234"
    ]
    assert (reader.has_ended, events(reader.bytes)[-1][0]) == (1, "done")


# -- readers -----------------------------------------------------------------------------------


@pytest.mark.parametrize("position", range(1, 8))
def test_whoever_joins_at_any_moment_gets_the_same_bytes(
    make_reader: MakeReader, position: int
) -> None:
    """What was kept first, then what comes, without a gap or a repetition."""
    recording, reader = Recording(PLENTY), make_reader()
    steps: list[Callable[[], None]] = [lambda: recording.begin(RUNNING)]
    steps += [lambda text=text: recording.put(Stdout(text)) for text in "abcde"]
    steps += [lambda: recording.end(ENDED)]
    for count, step in enumerate(steps):
        if count == position:
            recording.join(reader.out, 0, reader.send_away)
        step()
    if position == len(steps):
        recording.join(reader.out, 0, reader.send_away)
    assert reader.bytes == b"".join(recording.after(0))
    assert reader.has_ended == 1


def test_two_readers_get_the_same(make_reader: MakeReader) -> None:
    """One who does not read holds up nobody."""
    recording, quick, slow = Recording(PLENTY), make_reader(), make_reader(reads=False)
    for reader in (quick, slow):
        recording.join(reader.out, 0, reader.send_away)
    recording.begin(RUNNING)
    for number in range(100):
        recording.put(Stdout(str(number)))
    recording.end(ENDED)
    assert (quick.has_ended, slow.has_ended, len(slow.pieces)) == (1, 0, 1)
    slow.take()
    assert slow.bytes == quick.bytes
    assert slow.has_ended == 1


def test_what_waits_for_a_reader_is_written_in_pieces(make_reader: MakeReader) -> None:
    """Small events are joined, and none is torn from its order."""
    reader = make_reader(reads=False)
    sent = [b"%06d" % number for number in range(5000)]
    reader.out.send(sent[:1])
    reader.out.send(sent[1:], last=True)
    assert reader.out.behind == 6 * 4999
    reader.take()
    assert reader.bytes == b"".join(sent)
    assert max(map(len, reader.pieces)) < PIECE + 6
    assert len(reader.pieces) == 1 + -(-6 * 4999 // PIECE)
    assert (reader.out.behind, reader.has_ended) == (0, 1)


def test_whoever_does_not_read_is_sent_away(
    make_reader: MakeReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They may come back and resume; nobody's output fills the memory."""
    assert FAR_BEHIND > 8 * PIECE
    monkeypatch.setattr(module, "FAR_BEHIND", 1000)
    recording, lazy, quick = Recording(0), make_reader(reads=False), make_reader()
    for reader in (lazy, quick):
        recording.join(reader.out, 0, reader.send_away)
    recording.put(Stdout("first"))
    recording.put(Stdout("x" * 500))
    assert lazy.sent_away == 0
    recording.put(Stdout("x" * 500))
    assert (lazy.sent_away, quick.sent_away) == (1, 0)


def test_nothing_is_written_to_whoever_hung_up(make_reader: MakeReader) -> None:
    """Neither what waits nor what comes, and no end is told."""
    reader = make_reader(reads=False)
    reader.out.send([b"a"])
    reader.out.send([b"b"])
    reader.hang_up()
    reader.out.send([b"c"], last=True)
    assert (reader.bytes, reader.has_ended) == (b"a", 0)


def test_nothing_is_sent_through_what_is_closed(make_reader: MakeReader) -> None:
    """Also not what waited."""
    reader = make_reader(reads=False)
    reader.out.send([b"a"])
    reader.out.send([b"b"])
    reader.out.close()
    reader.take()
    reader.out.send([b"c"], last=True)
    assert (reader.bytes, reader.has_ended, reader.out.is_idle) == (b"a", 0, False)


# -- all recordings ----------------------------------------------------------------------------


def run_named(run_id: str, ended: Run = ENDED) -> Run:
    """A run of some id."""
    return replace(ended, run_id=run_id)


def test_a_recording_is_found_while_it_is_kept() -> None:
    """Under way and after its end; others were never recorded."""
    recordings = Recordings(PLENTY)
    recording = recordings.begin(run_named("a", RUNNING))
    assert recordings.get(ENDED.kernel_id, "a") is recording
    recordings.changed(run_named("a", RUNNING))
    assert not recording.has_ended
    recordings.changed(run_named("a"))
    assert recording.has_ended
    assert recordings.get(ENDED.kernel_id, "a") is recording
    assert recordings.get(ENDED.kernel_id, "b") is None


def test_an_end_is_recorded_once() -> None:
    """And a run that is not recorded has none."""
    recordings = Recordings(PLENTY)
    recording = recordings.begin(run_named("a", RUNNING))
    for run_id in ("a", "a", "b"):
        recordings.changed(run_named(run_id))
    assert names(recording) == [("run", 1), ("done", 2)]


def test_the_oldest_ended_recordings_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """There are never more than so many; those under way are all kept."""
    monkeypatch.setattr(module, "ENDED_KEPT", 3)
    recordings = Recordings(PLENTY)
    for run_id in ("under way", *"abcde"):
        recordings.begin(run_named(run_id, RUNNING))
    for run_id in "badce":
        recordings.changed(run_named(run_id))
    kept = [each for each in ("under way", *"abcde") if recordings.get(ENDED.kernel_id, each)]
    assert kept == ["under way", "c", "d", "e"]


def test_ended_recordings_are_bounded_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """In sum; but the newest is kept whatever its size."""
    recordings = Recordings(PLENTY)
    for run_id, size in (("a", 100), ("b", 100), ("c", 5000), ("d", 100)):
        recordings.begin(run_named(run_id, RUNNING)).put(Stdout("x" * size))
    monkeypatch.setattr(module, "ENDED_BYTES", 4000)
    kept = []
    for run_id in "abcd":
        recordings.changed(run_named(run_id))
        kept.append(
            [
                each
                for each in "abcd"
                if (r := recordings.get(ENDED.kernel_id, each)) and r.has_ended
            ]
        )
    assert kept == [["a"], ["a", "b"], ["c"], ["d"]]


def test_a_comment_is_for_those_who_hear_nothing(make_reader: MakeReader) -> None:
    """Nobody between takes silence for an end; who is behind needs none. Nothing ticks for none."""

    async def listen() -> None:
        recordings, quiet, behind = Recordings(PLENTY), make_reader(), make_reader(reads=False)
        first, second = (recordings.begin(run_named(each, RUNNING)) for each in "ab")
        assert not recordings._clock.is_running()
        recordings.play(first, quiet.out, 1, quiet.send_away)
        recordings.play(second, behind.out, 0, behind.send_away)
        recordings._keep_alive()
        assert (quiet.bytes, KEEP_ALIVE in behind.bytes) == (KEEP_ALIVE, False)
        recordings.stop(first, quiet.out)
        recordings._keep_alive()
        assert quiet.bytes == KEEP_ALIVE
        assert recordings._clock.is_running(), "somebody listens still"
        recordings.stop(second, behind.out)
        assert not recordings._clock.is_running()

    asyncio.run(listen())
