"""A Lambda function's ARN, taken apart."""
import re

_ARN = re.compile(
    r'^arn:(?P<partition>aws[a-zA-Z-]*):lambda:(?P<region>[a-zA-Z0-9-]*):(?P<account>[a-zA-Z0-9]*)'
    r':function:(?P<name>[a-zA-Z0-9_-]+)(?::(?P<qualifier>\$LATEST|[a-zA-Z0-9_-]+))?$'
)


class FunctionArnFields(object):
    """Attributes: region, account_id, name, qualifier (None if absent), unqualified_arn. ValueError on a bad ARN."""

    def __init__(self, function_arn_string):
        self.parse_function_arn(function_arn_string)

    def parse_function_arn(self, function_arn_string):
        match = _ARN.match(function_arn_string or '')
        if match is None:
            raise ValueError('Cannot parse given string as a function ARN: {}'.format(function_arn_string))
        self.partition = match.group('partition')
        self.region = match.group('region')
        self.account_id = match.group('account')
        self.name = match.group('name')
        self.qualifier = match.group('qualifier')
        self.unqualified_arn = 'arn:{}:lambda:{}:{}:function:{}'.format(
            self.partition, self.region, self.account_id, self.name)

    def to_arn_string(self):
        return FunctionArnFields.build_function_arn(self.unqualified_arn, self.qualifier)

    @staticmethod
    def build_function_arn(unqualified_arn, qualifier):
        return unqualified_arn + ':' + qualifier if qualifier else unqualified_arn

    @staticmethod
    def build_arn_string(region, account_id, name, qualifier):
        """For old SDKs."""
        return FunctionArnFields.build_function_arn(
            'arn:aws:lambda:{}:{}:function:{}'.format(region, account_id, name), qualifier)
