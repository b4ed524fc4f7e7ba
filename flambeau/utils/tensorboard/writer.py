"""Writes down how training goes: `SummaryWriter`."""

from __future__ import annotations

import itertools
import os
import socket
import time
from collections.abc import Mapping
from typing import Any, NoReturn

from flambeau._core import errors
from flambeau._core.sites import user_site
from flambeau.utils.tensorboard import summaries
from flambeau.utils.tensorboard.records import block, double, integer, record

_numbers = itertools.count()


class FileWriter:
    """Appends events to one file in `log_dir`, which is made if need be."""

    def __init__(
        self, log_dir: str | os.PathLike, max_queue: int = 10, flush_secs: int = 120, filename_suffix: str = ""
    ) -> None:
        self._log_dir, self._suffix = os.fspath(log_dir), filename_suffix
        self._max_queue, self._flush_secs = max_queue, flush_secs
        self._open()

    def _open(self) -> None:
        os.makedirs(self._log_dir, exist_ok=True)
        name = f"events.out.tfevents.{int(time.time())}.{socket.gethostname()}.{os.getpid()}.{next(_numbers)}"
        self._file = open(os.path.join(self._log_dir, name + self._suffix), "ab")
        self._waiting, self._flushed = 0, time.monotonic()
        self.add_event(block(3, "brain.Event:2"))
        self.flush()

    def get_logdir(self) -> str:
        """The folder."""
        return self._log_dir

    def add_event(self, event: bytes, step: int | None = None, walltime: float | None = None) -> None:
        """Append an event, of step `step`; `walltime` is the time in seconds since 1970, now by default."""
        data = double(1, time.time() if walltime is None else walltime)
        data += (b"" if step is None else integer(2, step)) + event
        self._file.write(record(data))
        self._waiting += 1
        if self._waiting > self._max_queue or time.monotonic() - self._flushed > self._flush_secs:
            self.flush()

    def add_summary(self, summary: bytes, global_step: int | None = None, walltime: float | None = None) -> None:
        """Append a summary."""
        self.add_event(block(5, summary), global_step, walltime)

    def flush(self) -> None:
        """Put what waits into the file."""
        self._file.flush()
        self._waiting, self._flushed = 0, time.monotonic()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def reopen(self) -> None:
        """Go on in another file, after `close`."""
        if self._file.closed:
            self._open()


class SummaryWriter:
    """Writes scalars, histograms, pictures, texts and hyperparameters into a folder that TensorBoard shows.

    Args:
        log_dir: the folder; by default `runs/` and a name of the time and the machine.
        comment: the end of that name.
        purge_step: steps from here on, of an earlier run in the folder, are not to be shown.
        max_queue, flush_secs: how many events may wait, and how long, until they are in the file.
        filename_suffix: the end of the file's name.

    Example::

        with SummaryWriter("runs/first") as writer:
            for step in range(100):
                writer.add_scalar("loss", loss, step)
    """

    def __init__(
        self,
        log_dir: str | os.PathLike | None = None,
        comment: str = "",
        purge_step: int | None = None,
        max_queue: int = 10,
        flush_secs: int = 120,
        filename_suffix: str = "",
    ) -> None:
        if not log_dir:
            log_dir = os.path.join("runs", f"{time.strftime('%b%d_%H-%M-%S')}_{socket.gethostname()}{comment}")
        self.log_dir, self.purge_step = os.fspath(log_dir), purge_step
        self._options: tuple = (max_queue, flush_secs, filename_suffix)
        self.file_writer = FileWriter(self.log_dir, *self._options)
        self.all_writers = {self.log_dir: self.file_writer}
        if purge_step is not None:
            self.file_writer.add_event(block(7, integer(1, 1)), purge_step)  # the session starts anew here

    def get_logdir(self) -> str:
        """The folder."""
        return self.log_dir

    def add_scalar(
        self,
        tag: str,
        scalar_value: Any,
        global_step: int | None = None,
        walltime: float | None = None,
        new_style: bool = False,
        double_precision: bool = False,
    ) -> None:
        """A number, or a tensor of one element. `new_style` makes it a tensor, of `double_precision` if asked for."""
        self._add(summaries.scalar(tag, scalar_value, new_style, double_precision), global_step, walltime)

    def add_scalars(
        self,
        main_tag: str,
        tag_scalar_dict: Mapping[str, Any],
        global_step: int | None = None,
        walltime: float | None = None,
    ) -> None:
        """Several numbers for one chart; each is a run of its own, in a folder inside."""
        for tag, value in tag_scalar_dict.items():
            folder = os.path.join(self.log_dir, f"{main_tag.replace('/', '_')}_{tag}")
            if folder not in self.all_writers:
                self.all_writers[folder] = FileWriter(folder, *self._options)
            summary = summaries.scalar(main_tag, value, False, False)
            self.all_writers[folder].add_summary(summary, global_step, walltime)

    def add_histogram(
        self,
        tag: str,
        values: Any,
        global_step: int | None = None,
        bins: Any = "tensorflow",
        walltime: float | None = None,
        max_bins: int | None = None,
    ) -> None:
        """How values are distributed. `bins` is "tensorflow" or what `numpy.histogram` takes. ValueError without
        values."""
        self._add(summaries.histogram(tag, values, bins, max_bins), global_step, walltime)

    def add_histogram_raw(
        self,
        tag: str,
        min: float,
        max: float,
        num: float,
        sum: float,
        sum_squares: float,
        bucket_limits: Any,
        bucket_counts: Any,
        global_step: int | None = None,
        walltime: float | None = None,
    ) -> None:
        """A histogram of which all is known; `bucket_limits` are the upper ones. ValueError unless there are as many
        counts."""
        if len(bucket_limits) != len(bucket_counts):
            raise ValueError(
                f"len(bucket_limits) != len(bucket_counts), see the document: {len(bucket_limits)} and "
                f"{len(bucket_counts)}"
            )
        found = summaries.raw_histogram(tag, min, max, num, sum, sum_squares, bucket_limits, bucket_counts)
        self._add(found, global_step, walltime)

    def add_image(
        self,
        tag: str,
        img_tensor: Any,
        global_step: int | None = None,
        walltime: float | None = None,
        dataformats: str = "CHW",
    ) -> None:
        """A picture: bytes, or floats from 0 to 1; `dataformats` names its dimensions. AssertionError if they do not
        fit."""
        self._add(summaries.image(tag, img_tensor, dataformats), global_step, walltime)

    def add_images(
        self,
        tag: str,
        img_tensor: Any,
        global_step: int | None = None,
        walltime: float | None = None,
        dataformats: str = "NCHW",
    ) -> None:
        """Several pictures, eight in a line."""
        self._add(summaries.image(tag, img_tensor, dataformats), global_step, walltime)

    def add_figure(
        self, tag: str, figure: Any, global_step: int | None = None, close: bool = True, walltime: float | None = None
    ) -> None:
        """A figure of matplotlib, or a list of them; `close` frees them."""
        from matplotlib import pyplot
        from matplotlib.backends.backend_agg import FigureCanvasAgg

        figures = figure if isinstance(figure, list) else [figure]
        pictures = []
        for one in figures:
            canvas = FigureCanvasAgg(one)
            canvas.draw()
            pictures.append(summaries.array(canvas.buffer_rgba())[..., :3])
            if close:
                pyplot.close(one)
        if isinstance(figure, list):
            self.add_images(tag, summaries.array(pictures), global_step, walltime, "NHWC")
        else:
            self.add_image(tag, pictures[0], global_step, walltime, "HWC")

    def add_text(
        self, tag: str, text_string: str, global_step: int | None = None, walltime: float | None = None
    ) -> None:
        """A text, shown as Markdown."""
        self._add(summaries.text(tag, text_string), global_step, walltime)

    def add_hparams(
        self,
        hparam_dict: dict[str, Any],
        metric_dict: dict[str, Any],
        hparam_domain_discrete: dict[str, list] | None = None,
        run_name: str | None = None,
        global_step: int | None = None,
    ) -> None:
        """The hyperparameters of a run and the metrics it reached, as a run `run_name` (the time by default) inside.

        TypeError for what is no dict, ValueError for a value that is no number, bool, text or tensor of one element.
        """
        if type(hparam_dict) is not dict or type(metric_dict) is not dict:
            raise TypeError("hparam_dict and metric_dict should be dictionary.")
        found = summaries.hyperparameters(hparam_dict, metric_dict, hparam_domain_discrete or {})
        with SummaryWriter(os.path.join(self.log_dir, run_name or str(time.time()))) as inner:
            for summary in found:
                inner._add(summary, global_step, None)
            for tag, value in metric_dict.items():
                inner.add_scalar(tag, value, global_step)

    def _add(self, summary: bytes, step: int | None, walltime: float | None) -> None:
        for writer in self.all_writers.values():
            writer.reopen()
        self.file_writer.add_summary(summary, step, walltime)

    def flush(self) -> None:
        """Put what waits into the files."""
        for writer in self.all_writers.values():
            writer.flush()

    def close(self) -> None:
        """Close the files; what is added later goes into others."""
        for writer in self.all_writers.values():
            writer.close()

    def __enter__(self) -> SummaryWriter:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


# What is not written -> what comes nearest.
REFUSED = {
    "add_audio": "torch.save of the samples",
    "add_custom_scalars": "add_scalars, for several lines in one chart",
    "add_custom_scalars_marginchart": "add_scalars",
    "add_custom_scalars_multilinechart": "add_scalars",
    "add_embedding": "add_figure of a plot of the vectors",
    "add_graph": "add_text of str(model)",
    "add_image_with_boxes": "add_image of a picture with the boxes drawn in",
    "add_mesh": "add_figure",
    "add_onnx_graph": "add_text",
    "add_pr_curve": "add_figure of the curve",
    "add_pr_curve_raw": "add_figure of the curve",
    "add_tensor": "add_histogram, or torch.save",
    "add_video": "add_images of its pictures",
}


def _refused(name: str, nearest: str) -> Any:
    def refuse(self: SummaryWriter, *args: Any, **kwargs: Any) -> NoReturn:
        fact = f"SummaryWriter.{name} is not implemented"
        raise NotImplementedError(errors.explain(fact, hint=f"nearest is {nearest}", site=user_site(2)))

    refuse.__name__ = name
    refuse.__doc__ = f"NotImplementedError; nearest is {nearest}."
    return refuse


for _name, _nearest in REFUSED.items():
    setattr(SummaryWriter, _name, _refused(_name, _nearest))
