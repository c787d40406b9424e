from .client import client as client
from .stream import StreamingBody as StreamingBody

__version__: str
INTERFACE_VERSION: str
