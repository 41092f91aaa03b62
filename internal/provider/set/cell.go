package set

import (
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"evenkeel/internal/provider/entry"
)

// setCell sets the property of an item from the text of a CSV cell: lists are separated by spaces, objects are JSON.
func (f itemField) setCell(i *Item, cell string) error {
	switch member := f.member(i).(type) {
	case *[]string:
		*member = strings.Fields(strings.Clone(cell))
		return nil
	case **bool:
		flag, err := strconv.ParseBool(strings.ToLower(cell))
		if *member = &flag; err != nil {
			return errors.New("must be true or false")
		}
		return nil
	}
	value := f.value(i)
	if value.Kind() == reflect.Pointer && value.Type().Elem().Kind() == reflect.String {
		value.Set(reflect.New(value.Type().Elem()))
		value = value.Elem()
	}
	if value.Kind() == reflect.String {
		value.SetString(strings.Clone(cell)) // a copy, so that the row can be freed
		return nil
	}
	if err := f.setJSON(i, []byte(cell)); errors.Is(err, errDigits) {
		return err
	} else if err != nil {
		return fmt.Errorf("not a valid JSON object: %w", err)
	}
	return nil
}

// setJSON sets the property of an item from a JSON value.
func (f itemField) setJSON(i *Item, raw []byte) error {
	var err error
	if policy, is := f.member(i).(**entry.ReprovisionPolicy); is {
		*policy, err = decodeReprovision(raw)
	} else {
		err = decodeStrictly(raw, f.member(i))
	}
	if err != nil {
		return withoutValue(err)
	}
	return settleNumbers(f.value(i).Interface())
}

// decodeReprovision reads a policy, nil for null. Both members are required, as in a program.
func decodeReprovision(raw []byte) (*entry.ReprovisionPolicy, error) {
	var both *struct{ UpdateHubAssignment, MigrateDeviceData *bool }
	if err := decodeStrictly(raw, &both); err != nil || both == nil {
		return nil, err
	}
	if both.UpdateHubAssignment == nil || both.MigrateDeviceData == nil {
		return nil, errors.New("reprovisionPolicy needs updateHubAssignment and migrateDeviceData")
	}
	return &entry.ReprovisionPolicy{UpdateHubAssignment: *both.UpdateHubAssignment,
		MigrateDeviceData: *both.MigrateDeviceData}, nil
}
