import sys
from typing import BinaryIO, Optional, Union

from .stream import StreamingBody

if sys.version_info >= (3, 8):
    from typing import Literal, TypedDict
else:
    from typing_extensions import Literal, TypedDict

class Answer(TypedDict):
    Payload: Union[StreamingBody, bytes]
    FunctionError: Literal['', 'Handled', 'Unhandled']

class InvocationException(Exception): ...

class Client:
    def __init__(self, endpoint: str = ..., port: Optional[int] = ...) -> None: ...
    def invoke(
        self,
        *,
        FunctionName: str,
        Qualifier: Optional[str] = ...,
        ClientContext: Union[bytes, str] = ...,
        Payload: Union[bytes, str, BinaryIO] = ...,
        InvocationType: Literal['RequestResponse', 'Event'] = ...,
    ) -> Answer: ...
