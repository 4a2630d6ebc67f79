"""What runs put out, kept and played again: every byte in order, no hole that is not told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec
import pytest
from msgspec.structs import replace
from support.run_dialogues import answer, began, idle, published, sent_run
from support.slow_reader import Reader, events

from kernel_status_ext.api import readers as readers_module
from kernel_status_ext.api import recordings as module
from kernel_status_ext.api.readers import STUCK_FOR, Readers
from kernel_status_ext.api.recordings import RESULT_KEPT, Recording, Recordings
from kernel_status_ext.api.sse import KEEP_ALIVE, MOST_AT_ONCE, PIECE
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
    recording.join(reader.out, 1)
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
            recording.join(reader.out, 0)
        step()
    if position == len(steps):
        recording.join(reader.out, 0)
    assert reader.bytes == b"".join(recording.after(0))
    assert reader.has_ended == 1


def test_two_readers_get_the_same(make_reader: MakeReader) -> None:
    """One who does not read holds up nobody."""
    recording, quick, slow = Recording(PLENTY), make_reader(), make_reader(reads=False)
    for reader in (quick, slow):
        recording.join(reader.out, 0)
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


def test_a_large_event_is_written_in_parts(make_reader: MakeReader) -> None:
    """Of what nobody takes, only so much is copied for them."""
    reader, large = make_reader(reads=False), bytes(range(256)) * 1000
    reader.out.send([b"a" * 100, large, b"b" * 100], last=True)
    assert reader.out.behind == len(large) + 100
    reader.take()
    assert reader.bytes == b"a" * 100 + large + b"b" * 100
    assert max(map(len, reader.pieces)) == MOST_AT_ONCE
    assert (reader.out.behind, reader.has_ended) == (0, 1)


def listened(*readers: Reader, limit: int = 1 << 20, kept: int = 0) -> Recording:
    """A recording with readers, of whom each may be so far behind."""
    everybody = Readers(len(readers), limit)
    recording = Recording(kept, everybody=everybody)
    recording.begin(RUNNING)
    for reader in readers:
        everybody.join(reader.out, reader.send_away)
        recording.join(reader.out, 0)
    return recording


def test_whoever_does_not_read_is_sent_away(make_reader: MakeReader) -> None:
    """They may come back and resume; nobody's output fills the memory."""
    lazy, quick = make_reader(reads=False), make_reader()
    recording = listened(lazy, quick, limit=1000)
    recording.put(Stdout("x" * 5000))
    assert lazy.sent_away == 0, "one event is no lag, however large it is"
    recording.put(Stdout("next"))
    assert (lazy.sent_away, quick.sent_away) == (1, 0)
    assert lazy.out.behind == 0, "and holds nothing any more"
    assert events(quick.bytes)[-1][2] == {"data": "next"}


def test_what_is_kept_in_any_case_is_no_lag(make_reader: MakeReader) -> None:
    """Who comes back may have much to read, and reads it as fast as they can."""
    lazy = make_reader(reads=False)
    everybody = Readers(1, 1000)
    recording = Recording(PLENTY, everybody=everybody)
    recording.begin(RUNNING)
    for _ in range(10):
        recording.put(Stdout("x" * 5000))
    everybody.join(lazy.out, lazy.send_away)
    recording.join(lazy.out, 0)
    recording.put(Stdout("x" * 500))
    recording.put(Stdout("x" * 500))
    assert lazy.out.behind > 5000
    assert lazy.sent_away == 0
    recording.put(Stdout("x"))
    assert lazy.sent_away == 1


def test_the_slowest_are_sent_away_when_all_together_are_behind(
    make_reader: MakeReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until the others are not."""
    monkeypatch.setattr(readers_module, "ALL_BEHIND", 4500)
    slow, slower, quick = make_reader(reads=False), make_reader(reads=False), make_reader()
    recording = listened(slow, slower, quick, limit=PLENTY)
    for _ in range(2):
        recording.put(Stdout("x" * 1000))
    slow.take()
    for _ in range(2):
        recording.put(Stdout("x" * 1000))
    assert (0 < slow.out.late < slower.out.late, quick.out.late) == (True, 0)
    assert slower.sent_away == 0
    recording.put(Stdout("x"))
    assert [each.sent_away for each in (slow, slower, quick)] == [0, 1, 0]


def test_whoever_takes_nothing_for_a_minute_is_sent_away(make_reader: MakeReader) -> None:
    """Who takes a little is not, nor is who has nothing to take."""
    lazy, slow, quick = make_reader(reads=False), make_reader(reads=False), make_reader()
    recording = listened(lazy, slow, quick)
    recording.put(Stdout("x" * 10 * MOST_AT_ONCE))
    for _ in range(1 + STUCK_FOR):  # since the first look
        assert lazy.sent_away == 0
        recording._everybody.look()
        slow.take_one()
    assert [each.sent_away for each in (lazy, slow, quick)] == [1, 0, 0]
    assert len(recording._everybody) == 2


# -- what nobody wants --------------------------------------------------------------------------


def test_what_nobody_reads_and_nothing_keeps_is_counted(make_reader: MakeReader) -> None:
    """It need not be looked into; who resumes is told how much it was."""
    recording = Recording(1000)
    recording.begin(RUNNING)
    assert not recording.skips("stream", 100)
    assert recording.skips("stream", 5000)
    assert recording.skips("stream", 1), "what is kept is a beginning without a hole"
    assert names(recording) == [("run", 1), ("truncated", 3)]
    (data,) = [d for name, _, d in events(b"".join(recording.after(0))) if name == "truncated"]
    assert data == {"dropped_events": 2, "dropped_bytes": 5001}
    recording.join(make_reader().out, 0)
    assert not recording.skips("stream", 5000), "somebody reads it"


def test_a_result_is_read_for_the_last_event_unless_it_is_huge() -> None:
    """Also where its own event is not kept."""
    recording = Recording(0)
    recording.begin(RUNNING)
    assert not recording.skips("execute_result", 10)
    recording.put(resulted("small"))
    assert recording.skips("execute_result", RESULT_KEPT + 1)
    recording.end(ENDED)
    done = events(b"".join(recording.after(0)))[-1]
    assert done[2]["output"] == {"mimetype": "text/plain", "data": "small"}


def test_a_huge_result_is_not_said_again() -> None:
    """Its event has gone to who read; the last event does not hold it for ever."""
    recording = Recording(100 * RESULT_KEPT)
    recording.begin(RUNNING)
    recording.put(resulted("x" * RESULT_KEPT))
    recording.end(ENDED)
    *_, result, done = events(b"".join(recording.after(0)))
    assert len(result[2]["data"]["text/plain"]) == RESULT_KEPT
    assert done[2]["output"] == {"mimetype": "text/plain", "data": ""}


# -- readers that go ----------------------------------------------------------------------------


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


def test_ended_recordings_are_bounded_in_bytes() -> None:
    """In sum, the oldest go first; but the newest is kept whatever its size."""
    recordings = Recordings(PLENTY, 4000)
    for count, run_id in enumerate("abcdef"):
        recordings.begin(run_named(run_id, RUNNING)).put(Stdout("x" * 1000))
        recordings.changed(run_named(run_id))
        kept = [each for each in "abcdef" if recordings.get(ENDED.kernel_id, each)]
        assert kept == [*"abcdef"[: count + 1][-2:]]
        assert recordings._room.used <= 4000
    nothing = Recordings(PLENTY, 0)
    for run_id in "ab":
        nothing.begin(run_named(run_id, RUNNING))
        nothing.changed(run_named(run_id))
        assert nothing.get(ENDED.kernel_id, run_id)
    assert nothing.get(ENDED.kernel_id, "a") is None


def test_what_is_under_way_takes_the_room_of_what_has_ended() -> None:
    """All together keep no more than that; who finds no room is kept as a beginning."""
    recordings = Recordings(PLENTY, 6000)
    recordings.begin(run_named("a", RUNNING)).put(Stdout("x" * 3000))
    recordings.changed(run_named("a"))
    b, c = (recordings.begin(run_named(each, RUNNING)) for each in "bc")
    b.put(Stdout("x" * 3000))
    assert recordings.get(ENDED.kernel_id, "a") is None
    c.put(Stdout("x" * 3000))
    assert names(b) == [("run", 1), ("stdout", 2)]
    assert names(c) == [("run", 1), ("truncated", 2)]
    assert recordings._room.used == b.size + c.size


def test_a_comment_is_for_those_who_hear_nothing(make_reader: MakeReader) -> None:
    """Nobody between takes silence for an end; who is behind needs none. Nothing ticks for none."""

    async def listen() -> None:
        recordings, quiet, behind = Recordings(PLENTY), make_reader(), make_reader(reads=False)
        first, second = (recordings.begin(run_named(each, RUNNING)) for each in "ab")
        assert not recordings._clock.is_running()
        recordings.play(first, quiet.out, 1, quiet.send_away)
        recordings.play(second, behind.out, 0, behind.send_away)
        recordings.readers.look()
        assert (quiet.bytes, KEEP_ALIVE in behind.bytes) == (KEEP_ALIVE, False)
        recordings.stop(first, quiet.out)
        recordings.readers.look()
        assert quiet.bytes == KEEP_ALIVE
        assert recordings._clock.is_running(), "somebody listens still"
        recordings.stop(second, behind.out)
        assert not recordings._clock.is_running()

    asyncio.run(listen())
