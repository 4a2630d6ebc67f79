"""Rounds of actions on a world, and the comparison after each."""

from __future__ import annotations

import random
import signal
import time
from concurrent.futures import Future, ThreadPoolExecutor, wait

from . import truth
from .actions import Action, Actions, offsets, quietly
from .world import RESTLESS, Fault, Options, Target, World

KERNELS = ("python3", "python3", "good", "good", "no-starting", "garbage", "single-loop", "deaf")
"""What a round begins with; a kernel that went in the round before is started anew."""
ROUNDS = 6
"""So many rounds one server lives."""
HANDS = 40

Plan = list[tuple[float, Action]]


def play(seed: int, options: Options) -> list[Fault]:
    """Begin a server after the other until the time is over, and give all faults.

    Args:
        seed: what is done, and when, depends on it alone.
        options: how long, and what not.
    """
    dice, deadline, faults = random.Random(seed), time.monotonic() + options.seconds, []
    for _ in range(options.servers):
        if time.monotonic() > deadline:
            break
        faults += life(World(random.Random(dice.getrandbits(64)), options), deadline)
    return faults


def life(world: World, deadline: float) -> list[Fault]:
    """One server from its start to its end, which comes early where it told what is not true."""
    try:
        while world.round < ROUNDS and time.monotonic() < deadline and not world.faults:
            play_round(world)
        if not world.faults:
            end(world)
        print(f"{world.round} rounds, {world.done} actions, {len(world.cells)} cells", flush=True)
        return world.faults
    finally:
        world.close()


def play_round(world: World) -> None:
    """Do some things at once, let everything come to rest, and compare."""
    world.round += 1
    begin = len(world.cells)
    plan = planned(world)
    with ThreadPoolExecutor(HANDS) as hands:
        begun = perform(world, plan, hands)
        wait(begun, timeout=0.2)  # a moment in which nothing more is done, before the gates open
        while wait(begun, timeout=0.1).not_done:
            world.let_go()
    world.let_go()
    compare(world, begin)


def planned(world: World) -> Plan:
    """The actions of a round, each with its moment."""
    targets, actions, dice = population(world), Actions(world), world.dice
    if not targets:
        return []
    chosen = dice.sample(targets, k=min(len(targets), dice.choice([1, 2, 3])))
    count = dice.choice([4, 8, 12, 20])
    return [
        (moment, actions.any(dice.choice(chosen), dice.choice(targets)))
        for moment in offsets(dice, count)
    ]


def perform(
    world: World, plan: list[tuple[float, Action]], hands: ThreadPoolExecutor
) -> list[Future[None]]:
    """Begin each action at its moment."""
    begin, begun = time.monotonic(), []
    world.note(f"-- round {world.round}")
    for moment, action in plan:
        time.sleep(max(0.0, begin + moment - time.monotonic()))  # the plan's own rhythm
        begun.append(hands.submit(quietly, world, action))
    return begun


def population(world: World) -> list[Target]:
    """Idle kernels, new ones for those that went; as often as all of them are culled again."""
    while True:
        bury(world)
        complete(world)
        for difference in truth.settle(world, lambda: truth.unrest(world)):
            world.fault(difference, difference.split()[0])
        told = truth.kernels(world)
        targets = [
            Target(kernel, each["name"], each["pid"])
            for kernel, each in told.items()
            if truth.is_idle(each)
        ]
        if targets or world.faults:
            return targets


def bury(world: World) -> None:
    """Remove the dead."""
    for kernel, model in world.server.models().items():
        if model["status"] == "dead":
            world.call("DELETE", f"api/kernels/{kernel}", (204, 404))
            world.deleted.add(kernel)


def complete(world: World) -> None:
    """Start what is missing; where kernels are culled no slow ones, which would be gone again."""
    missing = [name for name in KERNELS if not (world.culls and name == "python3")]
    for model in world.server.models().values():
        if model["name"] in missing:
            missing.remove(model["name"])
    for name in missing:
        world.call("POST", "api/kernels", (201,), json={"name": name})


def tidy(world: World) -> None:
    """Remove kernels that never answer."""
    for kernel, model in world.server.models().items():
        if model["name"] in RESTLESS:
            world.call("DELETE", f"api/kernels/{kernel}", (204, 404))


def compare(world: World, begin: int) -> None:
    """Let everything come to rest, then hold what is told against what is true."""
    tidy(world)
    cells = world.cells[begin:]
    looks = (
        lambda: truth.unrest(world),
        lambda: truth.underway(world, cells),
        lambda: truth.processes(world),
        lambda: truth.models(world),
        lambda: truth.reachable(world),
    )
    for look in looks:
        for difference in truth.settle(world, look):
            world.fault(difference, difference.split()[0])
    for lie, cell in truth.runs(world, cells):
        world.fault(lie, cell.kernel)
    for wrong in (*truth.stories(world), *truth.causes(world), *truth.logged(world)):
        world.fault(wrong, wrong.split()[0].strip(","))
    world.open.close()


def end(world: World) -> None:
    """SIGTERM in the middle of a round: the server ends, and so do all of its kernels."""
    plan, after = planned(world), world.dice.uniform(0, 0.1)
    world.ending = True
    with ThreadPoolExecutor(HANDS) as hands:
        perform(world, plan, hands)
        time.sleep(after)  # the plan's own rhythm
        ended = world.server.stop(timeout=world.patience, how=signal.SIGTERM)
        world.let_go()
    world.ending = False
    if not ended.clean:
        world.fault(f"after SIGTERM: {ended}")
    for file in world.server.connection_files():
        world.fault(f"after SIGTERM: {file.name} is left")
    for wrong in truth.logged(world):
        world.fault(wrong)
