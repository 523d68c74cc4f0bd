"""The flat options of one inference, declared once; which of them go together; and what they stand for.

`declared` has their names, types, defaults and help, from which the command line and sweeps read them; `together` what
contradicts what; `models`, `tasks` and `inference` make the objects.
"""

from bayesgc.options.declared import DESCENT, MODEL, RUN, TASK, About, refusal
from bayesgc.options.inference import Options

__all__ = ["DESCENT", "MODEL", "RUN", "TASK", "About", "Options", "refusal"]
