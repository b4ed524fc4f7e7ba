"""The case study: classify garments, from files to a report.

The four steps are functions here and subcommands of ``flambeau apparel``::

    from flambeau import apparel
    apparel.prepare("data/apparel")
    apparel.train("data/apparel", "runs/apparel")
    apparel.predict("data/apparel", "runs/apparel")
    apparel.report("data/apparel", "runs/apparel")

They need the packages of the extra ``apparel``: pillow, matplotlib, tqdm and, for the command line, typer.
"""

from flambeau.apparel.classes import CLASSES
from flambeau.apparel.errors import ApparelError, DataError
from flambeau.apparel.layout import prepare
from flambeau.apparel.models import build
from flambeau.apparel.predicting import predict
from flambeau.apparel.reporting import report
from flambeau.apparel.training import Interrupted, train

__all__ = [
    "CLASSES",
    "ApparelError",
    "DataError",
    "Interrupted",
    "build",
    "predict",
    "prepare",
    "report",
    "train",
]
