from typing import IO, Literal, Optional, TypedDict, Union

from .stream import StreamingBody as StreamingBody

class InvocationException(Exception):
    """The core could not take the invocation."""

class InvokeAnswer(TypedDict):
    # A StreamingBody on success, bytes of the error where the function failed, b'' for an Event.
    Payload: Union[StreamingBody, bytes]
    FunctionError: Literal['', 'Handled', 'Unhandled']

class Client:
    def __init__(self, endpoint: str = ..., port: Optional[int] = ...) -> None: ...
    def invoke(
        self,
        *,
        FunctionName: str,
        Qualifier: str = ...,
        ClientContext: Union[bytes, str] = ...,
        Payload: Union[bytes, str, IO[bytes]] = ...,
        InvocationType: Literal['RequestResponse', 'Event'] = ...,
    ) -> InvokeAnswer: ...
