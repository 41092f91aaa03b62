module github.com/pulumi/pulumi-azure-native-sdk/devices/v2

go 1.25.8

require (
	github.com/pulumi/pulumi-azure-native-sdk/v2 v2.92.3
	github.com/pulumi/pulumi/sdk/v3 v3.244.0
)
