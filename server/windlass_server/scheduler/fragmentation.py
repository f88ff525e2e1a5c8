"""How much of the idle GPUs is of no use to the jobs that there are: fragmentation, as FGD defines it.

Weng et al., "Beware of Fragmentation: Scheduling GPU-Sharing Workloads with Fragmentation Gradient
Descent", USENIX ATC 2023, section 4: of a node n for a class m of tasks, F_n(m) is all idle GPU of n
where m cannot run on n, for whatever lack; else the sum of its idle parts of single GPUs that are
smaller than what m needs of one. Fragmentation is the mean over classes, weighted by their popularity.
On a node with several types of GPU those of a type that m does not take are useless to it, too.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from windlass_server.scheduler.rooms import gpu_key, share_left
from windlass_server.scheduler.snapshot import ANY_GPU_TYPE, WHOLE, Gpu, NodeState

STANDARD_SIZES = (1, 2, 4, 8)
"""The numbers of GPUs of the classes that are always looked at, where a node can hold them."""

# What the standard classes need beside GPUs: what a job gets that asks for nothing.
_CPU_MILLIS = 1000
_MEMORY_BYTES = 256 * 1024 * 1024
# Classes of waiting jobs that are looked at: those of most jobs.
_MOST_CLASSES = 16


@dataclass(frozen=True, slots=True)
class TaskClass:
    """Jobs that ask for the same.

    Attributes:
        gpu_count: GPUs on one node.
        gpu_type: compared without case; `ANY_GPU_TYPE` for any, but all of one type.
        cpu_millis: CPU in thousandths of a core.
        memory_bytes: memory in bytes.
        gpu_millis: what it needs of each GPU, in thousandths.
    """

    gpu_count: int
    gpu_type: str = ANY_GPU_TYPE
    cpu_millis: int = _CPU_MILLIS
    memory_bytes: int = _MEMORY_BYTES
    gpu_millis: int = WHOLE


@dataclass(frozen=True, slots=True)
class IdleNode:
    """What is idle on a node that takes work.

    Attributes:
        cpu_millis: CPU in thousandths of a core.
        memory_bytes: memory in bytes.
        gpus: type (as `gpu_key` spells it) and idle thousandths of each healthy GPU, sorted.
        parts: the types of them that are instances of divided cards, which nobody gets who takes any GPU.
    """

    cpu_millis: int
    memory_bytes: int
    gpus: tuple[tuple[str, int], ...]
    parts: frozenset[str] = frozenset()

    @property
    def idle(self) -> int:
        """Idle thousandths of GPUs."""
        return sum(part for _, part in self.gpus)


@dataclass(frozen=True, slots=True)
class ClassReport:
    """What the idle GPUs are worth to one class.

    Attributes:
        task: the class.
        waiting: jobs of it that wait.
        popularity: its share of the jobs that count, 0 to 1; all of them together are 1.
        useless: thousandths of idle GPUs that are of no use to it.
        share: the same as a share of all idle GPUs; 0 when none is idle.
    """

    task: TaskClass
    waiting: int
    popularity: float
    useless: int
    share: float


@dataclass(frozen=True, slots=True)
class Report:
    """Fragmentation of a group of nodes.

    Attributes:
        idle: thousandths of GPUs that are idle.
        index: the mean share that is useless, by popularity, 0 to 1.
        classes: those that are always looked at, by size; then those that wait, most jobs first.
        summary: the worst of it, in a sentence.
    """

    idle: int
    index: float
    classes: tuple[ClassReport, ...]
    summary: str


def fragmentation(nodes: Sequence[NodeState], waiting: Iterable[tuple[TaskClass, int]]) -> Report:
    """What the idle GPUs of nodes are worth.

    Args:
        nodes: in any state; what cannot be given away now is not idle.
        waiting: classes of waiting jobs, and how many jobs each has. While any wait with GPUs, they
            alone are popular; else all sizes that a node could hold are alike.
    """
    idle_nodes = Counter(idle_node(node) for node in nodes if node.ready and node.takes_work)
    queued = Counter[TaskClass]()
    for task, jobs in waiting:
        if task.gpu_count:
            queued[task] += jobs
    standard = [TaskClass(size) for size in STANDARD_SIZES if _ever_fits(size, nodes)]
    most = sorted(queued.items(), key=lambda one: (-one[1], one[0].gpu_count, one[0].gpu_type))
    tasks = dict.fromkeys([*standard, *(task for task, _ in most[:_MOST_CLASSES])])
    idle = sum(node.idle * count for node, count in idle_nodes.items())
    popularity = _popularity(tasks, standard, queued)
    reports = []
    for task in tasks:
        useless = sum(useless_to(task, node) * count for node, count in idle_nodes.items())
        share = useless / idle if idle else 0.0
        reports.append(ClassReport(task, queued[task], popularity[task], useless, share))
    index = sum(report.popularity * report.share for report in reports)
    return Report(idle, index, tuple(reports), _summary(idle, reports))


def idle_node(node: NodeState) -> IdleNode:
    """What is idle on a node: of its healthy GPUs those that nobody holds, and what shares leave."""
    parts = ((gpu_key(gpu.gpu_type), _idle_part(gpu, node)) for gpu in node.gpus)
    gpus = sorted(part for part in parts if part[1])
    divided = frozenset(gpu_key(gpu.gpu_type) for gpu in node.gpus if gpu.part)
    return IdleNode(node.cpu_free, node.memory_free, tuple(gpus), divided)


def _idle_part(gpu: Gpu, node: NodeState) -> int:
    if not gpu.healthy:
        return 0
    if not gpu.held:
        return WHOLE
    return share_left(gpu, node.max_sharers)


def useless_to(task: TaskClass, node: IdleNode) -> int:
    """F_n(m): the thousandths of a node's idle GPUs that are of no use to a class."""
    wanted = gpu_key(task.gpu_type)
    enough = Counter(gpu_type for gpu_type, part in node.gpus if part >= task.gpu_millis)
    able = {
        gpu_type
        for gpu_type, count in enough.items()
        if count >= task.gpu_count
        and (gpu_type not in node.parts if wanted == ANY_GPU_TYPE else gpu_type == wanted)
    }
    if not able or node.cpu_millis < task.cpu_millis or node.memory_bytes < task.memory_bytes:
        return node.idle
    return sum(
        part for gpu_type, part in node.gpus if part < task.gpu_millis or gpu_type not in able
    )


def _ever_fits(size: int, nodes: Sequence[NodeState]) -> bool:
    return any(max(_cards(node).values(), default=0) >= size for node in nodes)


def _cards(node: NodeState) -> Counter[str]:
    """How many cards of each type a node has, those among them that are divided but need not be."""
    whole = Counter(gpu_key(gpu.gpu_type) for gpu in node.gpus if not gpu.part)
    return whole + Counter(gpu_key(card.gpu_type) for card in node.cards if card.divided)


def _popularity(
    tasks: Iterable[TaskClass], standard: Sequence[TaskClass], queued: Counter[TaskClass]
) -> dict[TaskClass, float]:
    jobs = {task: queued[task] for task in tasks}
    if not any(jobs.values()):
        jobs = {task: int(task in standard) for task in jobs}
    total = sum(jobs.values()) or 1
    return {task: count / total for task, count in jobs.items()}


def _summary(idle: int, reports: Sequence[ClassReport]) -> str:
    if not idle:
        return "no GPU is idle"
    count = idle // WHOLE if idle % WHOLE == 0 else idle / WHOLE
    gpus = f"{count} GPU{'' if idle == WHOLE else 's'} idle"
    waiting = [report for report in reports if report.waiting]
    counting = waiting or list(reports)
    if not counting:
        return gpus
    worst = max(counting, key=lambda report: (report.share, report.waiting, report.task.gpu_count))
    if not worst.useless:
        whom = "the jobs that wait" if waiting else f"jobs of up to {_size(worst.task)}"
        return f"{gpus}, all of use to {whom}"
    whose = "your " if waiting else ""
    return f"{gpus}, {_percent(worst.share)} of them useless to {whose}{_name(worst.task)}"


def _percent(share: float) -> str:
    """Rounded, but never to all or nothing when it is neither."""
    if share >= 1:
        return "all"
    return f"{min(max(round(share * 100), 1), 99)} %"


def _size(task: TaskClass) -> str:
    return f"{task.gpu_count} GPU{'' if task.gpu_count == 1 else 's'}"


def _name(task: TaskClass) -> str:
    gpus = f"{task.gpu_count * task.gpu_millis / WHOLE:g}"
    return f"{gpus}-GPU {task.gpu_type} jobs".replace("  ", " ")
