"""Many simulated nodes on one machine, over the real protocol: to try, to load and to size a server.

Each node has a key, joins with the token, holds the agent's own two streams and brings its runs to
where the server wants them. Only what the agent would ask of the machine is simulated: the GPUs
(`windlass_agent.gpu.simulated`) and the tasks (`runner`).

    __main__ ── spawns ──▶ worker, worker, ...    few processes of many nodes each
       │  ◀── counts, a line of JSON a second ──     └─ node: links, shipper, desired runs
       └─ board                                          └─ runner, simulated GPUs
"""
