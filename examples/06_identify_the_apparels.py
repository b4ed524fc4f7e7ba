"""The case study through the library: from pictures on the disk to a report in the browser.

Run with: python examples/06_identify_the_apparels.py
The guide's network on all pictures: python examples/06_identify_the_apparels.py --model mlp --limit 60000
"""

import argparse
from pathlib import Path

from flambeau import apparel


def main(arguments: list[str] | None = None) -> dict:
    parser = argparse.ArgumentParser(description="Teach a network to tell garments apart.")
    parser.add_argument("--folder", type=Path, default=Path("data/example-06"), help="where everything is written")
    parser.add_argument("--limit", type=int, default=6000, help="training pictures; 60000 are all")
    parser.add_argument("--model", default="cnn", help="cnn, or mlp for the guide's network")
    parser.add_argument("--epochs", type=int, default=None, help="how often each picture is shown")
    chosen = parser.parse_args(arguments)
    data, out = chosen.folder / f"pictures-{chosen.limit}", chosen.folder / "results"

    # 1. train.csv and test.csv with one PNG file for each row.
    apparel.prepare(data, limit=chosen.limit)
    # 2. Learn from nine tenths of the training pictures, check with the rest.
    apparel.train(data, out, model=chosen.model, epochs=chosen.epochs)
    # 3. Name the garments on the test pictures: submission.csv.
    apparel.predict(data, out)
    # 4. How many are right? report.html shows it.
    return apparel.report(data, out)


if __name__ == "__main__":
    main()
