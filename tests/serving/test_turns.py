import asyncio
from contextlib import suppress

from serving.turns import Turns


class Hall:
    """Notes who is inside, and the most that were at once."""

    def __init__(self) -> None:
        self.turns = Turns()
        self.inside: list[str] = []
        self.order: list[str] = []
        self.most = 0

    async def visit(self, name: str, *, at_once: int = 2, seconds: float = 0.01) -> float:
        async with self.turns.turn(at_once) as waited:
            self.inside.append(name)
            self.order.append(name)
            self.most = max(self.most, len(self.inside))
            await asyncio.sleep(seconds)
            self.inside.remove(name)
        return waited


def test_no_more_are_under_way_at_once_than_may_be_and_they_begin_in_the_order_in_which_they_came():
    hall = Hall()

    async def work() -> list[float]:
        return await asyncio.gather(*(hall.visit(name) for name in "abcdef"))

    waited = asyncio.run(work())
    assert (hall.most, hall.order) == (2, list("abcdef"))
    assert max(waited[:2]) < 0.01 <= min(waited[2:])


def test_one_with_less_time_waits_until_fewer_are_under_way_and_is_not_overtaken():
    hall = Hall()

    async def work() -> None:
        hurried = hall.visit("c", at_once=1)
        await asyncio.gather(hall.visit("a", seconds=0.01), hall.visit("b", seconds=0.03), hurried, hall.visit("d"))

    asyncio.run(work())
    assert hall.order == list("abcd")


def test_who_goes_away_leaves_the_turn_to_the_next_before_during_and_after_the_wait():
    async def work() -> None:
        for steps in range(4):
            hall = Hall()
            tasks = [asyncio.create_task(hall.visit(name, at_once=1)) for name in "abc"]
            await asyncio.sleep(0)
            if steps == 3:
                await asyncio.sleep(0.005)
            # With two, b has been let in by a, and does not know yet.
            if steps == 2:
                tasks[0].cancel()
                await asyncio.sleep(0)
            tasks[min(steps, 1)].cancel()
            with suppress(asyncio.CancelledError):
                await asyncio.gather(*tasks, return_exceptions=True)
            assert hall.order[-1] == "c"
            assert await hall.visit("d", at_once=1) < 0.005

    asyncio.run(work())
