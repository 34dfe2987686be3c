from framebus.bus import Partition
from framebus.cli.replay.tally import Tally

FIRST, SECOND, _ = (Partition("frames", number) for number in range(3))


def test_a_stopped_replay_says_how_to_go_on() -> None:
    tally = Tally("frames", replayed=2, left_out=1, refused=1, next={SECOND: 7, FIRST: 3})

    words = tally.in_words("copy", stopped=True)

    assert words.startswith("2 frames replayed to copy in ")
    assert words.endswith("go on with --offset 0/3 --offset 1/7")
    assert tally.as_json(stopped=True)["next"] == [
        {"topic": "frames", "partition": 0, "offset": 3},
        {"topic": "frames", "partition": 1, "offset": 7},
    ]
