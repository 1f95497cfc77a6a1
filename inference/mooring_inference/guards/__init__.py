"""Guards on a model's inputs, checked on decoded arrays before the batcher.

A model has guards where its folder holds ``guards.json`` (or the server was given such a file). Without one
there is no ``Guards`` object and a request pays nothing. The file::

    {
      "non_finite": "allow",      # NaN and infinities: allow (default), flag, reject or clip
      "range": "flag",            # values outside min..max or categories: flag (default), reject or clip
      "max_rows": 1024,           # rows of one request; default: any number
      "outlier_score": true,      # answer with x-mooring-outlier-score; default false
      "inputs": {
        "x": {
          "non_finite": "reject", # for this input alone; "range" likewise
          "features": [           # one entry for each element of the last axis, in order
            {"name": "age", "min": 0, "max": 120, "median": 41, "iqr": 22},
            {"name": "colour", "categories": [0, 1, 2], "default": 0, "range": "clip"},
            {}                    # anything goes
          ]
        },
        "pixels": {"all": {"min": 0, "max": 255}}   # one entry for every element of the input
      }
    }

``allow`` is the default for NaN and infinities, because many models take NaN for a missing value; ``reject``
is the safer choice for models that do not.

What the policies do:

- ``reject``: the request is answered with 400, naming the element, the feature, the value, what is allowed.
- ``flag``: the request passes; the header ``x-mooring-flags`` names feature and rule,
  such as ``inputs.x[3]:range``.
- ``clip``: the value becomes the nearest allowed one (NaN: ``median``, an unknown category: ``default``,
  an infinity without a bound: the datatype's largest number), and the header says
  ``inputs.x[3]:range-clipped``. The caller's array is never written to.

Bounds are inclusive and rounded to the input's datatype. NaN breaks no range and no categories where
``non_finite`` is ``allow``.

``mooring-inference profile`` writes a first file from rows of training.

The outlier score is the largest ``|x - median| / iqr`` over all features that state both: how far outside the
middle of the baseline the farthest value lies, in interquartile ranges (Tukey, Exploratory Data Analysis,
1977: beyond about 2 is "outside", beyond about 3.5 "far out").
"""

from mooring_inference.guards.check import GuardResult, Guards
from mooring_inference.guards.document import load_guards, parse_guards

__all__ = ["GuardResult", "Guards", "load_guards", "parse_guards"]
