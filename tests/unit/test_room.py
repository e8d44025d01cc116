"""An amount that threads share: nobody gets more than there is, and who waits gets its turn."""

import threading

import pytest

from pixstore.room import NoRoom, Room


def test_what_is_held_is_not_free():
    """While somebody holds all, somebody in a hurry gets nothing; afterwards, everything."""
    room = Room(10)

    with room.held(10), pytest.raises(NoRoom), room.held(1, patience=0.01):
        pass

    with room.held(10, patience=0.01):
        pass


def test_several_fit_beside_each_other():
    """Amounts that fit together are held together."""
    room = Room(10)

    with room.held(4, patience=0.01), room.held(6, patience=0.01):
        pass


def test_more_than_there_is_takes_all():
    """Whoever asks for more than there may ever be is alone in the room, and does not wait for ever."""
    room = Room(10)

    with room.held(11, patience=0.01), pytest.raises(NoRoom), room.held(1, patience=0.01):
        pass


def test_a_large_amount_is_not_overtaken():
    """Small amounts that come later wait behind a large one that waits already."""
    room, order, release = Room(10), [], threading.Event()

    def hold(amount):
        with room.held(amount):
            order.append(amount)

    def first():
        with room.held(5):
            release.wait(30)

    threads = [threading.Thread(target=first)]
    threads[0].start()
    while room._free == 10:
        pass
    threads.append(threading.Thread(target=hold, args=(10,)))
    threads[1].start()
    while not room._turn.locked():
        pass
    threads.append(threading.Thread(target=hold, args=(1,)))
    threads[2].start()
    release.set()
    for thread in threads:
        thread.join(30)

    assert order == [10, 1]


def test_who_gives_up_leaves_the_turn_to_others():
    """Whoever stops waiting does not stand in the way of the next."""
    room = Room(10)

    with room.held(5):
        with pytest.raises(NoRoom), room.held(10, patience=0.01):
            pass
        with room.held(5, patience=0.01):
            pass


def test_it_is_given_back_after_an_error():
    """An error within the block gives back what it held."""
    room = Room(10)

    with pytest.raises(ZeroDivisionError), room.held(10):
        _ = 1 / 0

    with room.held(10, patience=0.01):
        pass
