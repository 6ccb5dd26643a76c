"""The network: no way out, closed security groups, and one endpoint for each service that a function calls."""

from collections.abc import Iterator

from tests.proof.contexts import ENDPOINT_OF, SYNCHRONOUS
from tests.proof.policies import Resources, of_type

ENDPOINTS = {
    "dynamodb": ("AWS_ENDPOINT_URL_DYNAMODB", ENDPOINT_OF["dynamodb"]),
    "events": ("AWS_ENDPOINT_URL_EVENTBRIDGE", ENDPOINT_OF["events"]),
    "kms": ("AWS_ENDPOINT_URL_KMS", ENDPOINT_OF["kms"]),
    "s3": ("AWS_ENDPOINT_URL_S3", ENDPOINT_OF["s3"]),
    "secretsmanager": ("AWS_ENDPOINT_URL_SECRETS_MANAGER", ENDPOINT_OF["secretsmanager"]),
    "states": ("AWS_ENDPOINT_URL_SFN", ENDPOINT_OF["states"]),
    "sync-states": ("AWS_ENDPOINT_URL_SYNC_STATES", SYNCHRONOUS[1]),
}
"""The endpoint of each service: the variable that gives its DNS name to a function, and the resource."""


def endpoint_for(action: str) -> str:
    """Return the service whose endpoint a call goes to, by its action."""
    return "sync-states" if action == SYNCHRONOUS[0] else action.partition(":")[0]


WAYS_OUT = (
    "AWS::EC2::CarrierGateway",
    "AWS::EC2::EgressOnlyInternetGateway",
    "AWS::EC2::EIP",
    "AWS::EC2::InternetGateway",
    "AWS::EC2::NatGateway",
    "AWS::EC2::Route",
    "AWS::EC2::TransitGatewayAttachment",
    "AWS::EC2::VPCGatewayAttachment",
    "AWS::EC2::VPCPeeringConnection",
    "AWS::EC2::VPNGateway",
    "AWS::Lambda::Url",
)
"""The resource types that open the network to the outside, in one direction or both."""


def no_way_out(resources: Resources) -> Iterator[str]:
    """Check that nothing leads out of the network: private subnets in two zones, and a route table without a route."""
    for name, resource in resources.items():
        if resource["Type"] in WAYS_OUT:
            yield f"{name}: {resource['Type']} is a way out or in"
    subnets = dict(of_type(resources, "AWS::EC2::Subnet"))
    zones = {subnet.get("AvailabilityZone") for subnet in subnets.values()}
    if len(zones) < 2 or None in zones:
        yield "subnets: fewer than two availability zones"
    associated = {a["SubnetId"] for _, a in of_type(resources, "AWS::EC2::SubnetRouteTableAssociation")}
    for name, subnet in subnets.items():
        if subnet.get("MapPublicIpOnLaunch") is not False:
            yield f"{name}: assigns public addresses"
        if name not in associated:
            yield f"{name}: uses the VPC's main route table instead of its own"
    for name, vpc in of_type(resources, "AWS::EC2::VPC"):
        if not (vpc.get("EnableDnsSupport") is True and vpc.get("EnableDnsHostnames") is True):
            yield f"{name}: lacks DNS support or host names, which the endpoints' names need"
    logged = {log["ResourceId"]: log for _, log in of_type(resources, "AWS::EC2::FlowLog")}
    for name, _ in of_type(resources, "AWS::EC2::VPC"):
        if logged.get(name, {}).get("TrafficType") != "ALL":
            yield f"{name}: no flow log has all of its traffic"


HTTPS = {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443}


def security_groups_are_a_closed_pair(resources: Resources) -> Iterator[str]:
    """Check that only functions reach the endpoints, by HTTPS alone, and that endpoints reach nothing."""
    groups = dict(of_type(resources, "AWS::EC2::SecurityGroup"))
    if set(groups) != {"FunctionsSecurityGroup", "EndpointsSecurityGroup"}:
        yield f"security groups: {sorted(groups)}"
        return
    functions, endpoints = groups["FunctionsSecurityGroup"], groups["EndpointsSecurityGroup"]
    expected = {
        "egress of functions": (
            functions.get("SecurityGroupEgress"),
            [{**HTTPS, "DestinationSecurityGroupId": "EndpointsSecurityGroup.GroupId"}],
        ),
        "ingress of functions": (functions.get("SecurityGroupIngress"), None),
        "egress of endpoints": (endpoints.get("SecurityGroupEgress"), [{**HTTPS, "CidrIp": "127.0.0.1/32"}]),
        "ingress of endpoints": (endpoints.get("SecurityGroupIngress"), None),
        "separate rules of ingress": (
            [rule for _, rule in of_type(resources, "AWS::EC2::SecurityGroupIngress")],
            [
                {
                    **HTTPS,
                    "GroupId": "EndpointsSecurityGroup.GroupId",
                    "SourceSecurityGroupId": "FunctionsSecurityGroup.GroupId",
                }
            ],
        ),
        "separate rules of egress": ([rule for _, rule in of_type(resources, "AWS::EC2::SecurityGroupEgress")], []),
    }
    for what, (rules, allowed) in expected.items():
        plain = rules and [{key: value for key, value in rule.items() if key != "Description"} for rule in rules]
        if plain != allowed:
            yield f"{what}: {plain}"


def endpoints_are_exact(resources: Resources) -> Iterator[str]:
    """Check that each service in use has one interface endpoint, in both subnets, in the endpoints' group."""
    found = {e["ServiceName"].rpartition(".")[2]: e for _, e in of_type(resources, "AWS::EC2::VPCEndpoint")}
    if found.keys() != ENDPOINTS.keys() or len(list(of_type(resources, "AWS::EC2::VPCEndpoint"))) != len(ENDPOINTS):
        yield f"endpoints: {sorted(found)}"
    for service, endpoint in found.items():
        if endpoint.get("VpcEndpointType") != "Interface":
            yield f"endpoint {service}: not an interface endpoint"
        if endpoint.get("PrivateDnsEnabled") is not False:
            yield f"endpoint {service}: has private DNS"
        if endpoint.get("SubnetIds") != ["PrivateSubnetA", "PrivateSubnetB"]:
            yield f"endpoint {service}: not in both subnets"
        if endpoint.get("SecurityGroupIds") != ["EndpointsSecurityGroup.GroupId"]:
            yield f"endpoint {service}: not in the endpoints' group"
        if "PolicyDocument" not in endpoint:
            yield f"endpoint {service}: has no policy"
