"""What a window of rows is like, in kilobytes: counts that add, whoever counted them and in whatever order.

A `Profile` is made of a baseline once. It says for each feature how values fall into slots: a number into cells that
hold equal shares of the baseline, a category into a slot of its own. A `WindowState` has the rows per slot. The state
of rows that were counted apart is the sum of their states, to the last bit, and what was added can be taken away again,
so windows merge over replicas and slide in time. A state names its profile by digest: others do not add to it.

Slots of a number, for the sorted edges e[0] < e[1] < ... < e[k-1] of its cells:

    slot 0       x <= e[0]: smaller than the baseline's smallest value
    slot i       e[i-1] < x <= e[i]
    slot k       x > e[k-1]: larger than the baseline's largest value
    slot k + 1   missing: null or NaN

Slots of a category with k known values: one each, then `unseen` for all others, then missing.

Both are stored in a binary form, all integers little-endian. `ints` is a vector of signed integers: their width in
bytes (u8: 1, 2, 4 or 8, the least that holds them all), their number (u32), the integers. `text` is its length in
bytes (u16), and that many bytes of UTF-8.

    profile   "MOORPROF", version u16 = 1, features u32, rows u64, then for each feature
                  name text, kind u8
                  kind 4 or 8 (numbers of 4 or 8 bytes): edges u32, that many floats of that size
                  kind 0 (categories): values u32, that many texts
                  rows of the baseline per slot: ints
              crc32 u32 of everything before it
    state     "MOORSTAT", version u16 = 2, features u32, rows u64, sha256 of the profile (32 bytes),
              pairs of rows by lag: ints
              bytes of a count (u8: 1, 2, 4 or 8, the least that holds them all), for each feature
              rows per slot: unsigned integers of so many bytes, one feature after the other
              pairs of values, level, spread, gaps: four ints, by feature and lag (`dependence`)
              crc32 u32 of everything before it

Whoever reads them believes nothing: sizes are bounded before anything is allocated, the rows of every feature have to
add up to those of the window, and one state has one form.
"""

from mooring_artifacts.window_states.counting import count
from mooring_artifacts.window_states.preparing import prepare
from mooring_artifacts.window_states.profile import Categories, Numbers, Profile, parse_profile
from mooring_artifacts.window_states.state import WindowState, add_up, merge, parse_state, subtract

__all__ = [
    "Categories",
    "Numbers",
    "Profile",
    "WindowState",
    "add_up",
    "count",
    "merge",
    "parse_profile",
    "parse_state",
    "prepare",
    "subtract",
]
